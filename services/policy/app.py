"""Policy: closes rounds, chooses submissions, revises the search, finishes the campaign."""

from __future__ import annotations

from services.policy.steps import abandon, begin, close_round, conclude, revise
from services.runtime.main import main as run
from services.runtime.service import Service

SERVICE = Service(
    name="policy",
    reactions={
        "CampaignStarted": (begin,),
        "DataFailed": (abandon,),
        "ScoresReported": (close_round, conclude),
        "TrainingFailed": (close_round,),
        "EvaluationFailed": (close_round, conclude),
        "GuardsReported": (close_round,),
        "GuardsUnmeasured": (close_round,),
        "DriftAssessed": (revise,),
        "CampaignResumed": (begin, close_round, revise, conclude, abandon),
    },
    timers=(close_round,),
)


def main() -> None:
    """Run the service."""
    run(SERVICE)
