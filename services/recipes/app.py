"""Recipe Optimizer: policy + data -> a round's candidates, with the advisor's where the campaign has one."""

from __future__ import annotations

from services.recipes.advice_job import ADVICE
from services.recipes.steps import consult, propose_round
from services.runtime.main import main as run
from services.runtime.service import Service

SERVICE = Service(
    name="recipes",
    reactions={
        "DataBatchReady": (consult, propose_round),
        "AdvisorAnswered": (propose_round,),
        "AdvisorFailed": (propose_round,),
        "CampaignResumed": (consult, propose_round),
    },
    jobs=(ADVICE,),
    preload=("services.recipes.advisor",),
)


def main() -> None:
    """Run the service."""
    run(SERVICE)
