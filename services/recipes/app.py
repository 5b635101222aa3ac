"""Recipe Optimizer: policy + data -> a round's candidates."""

from __future__ import annotations

from services.recipes.steps import propose_round
from services.runtime.main import main as run
from services.runtime.service import Service

SERVICE = Service(
    name="recipes",
    reactions={
        "DataBatchReady": (propose_round,),
        "CampaignResumed": (propose_round,),
    },
)


def main() -> None:
    """Run the service."""
    run(SERVICE)
