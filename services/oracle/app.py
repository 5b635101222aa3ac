"""Evaluation Oracle: scores with receipts, the external budget, the drift test."""

from __future__ import annotations

from services.oracle.boards.job import ASKING
from services.oracle.engines.registry import check_engine
from services.oracle.fingerprints.job import FINGERPRINTING, publish_fingerprints
from services.oracle.score_job import SCORING
from services.oracle.steps import assess_drift, charge_queries, measure_base, measure_dev
from services.runtime.main import main as run
from services.runtime.service import Service

SERVICE = Service(
    name="oracle",
    reactions={
        "CampaignStarted": (measure_base, publish_fingerprints),
        "CheckpointTrained": (measure_dev,),
        "SubmissionsChosen": (charge_queries, assess_drift),
        "ScoresReported": (assess_drift,),
        "EvaluationFailed": (assess_drift,),
        "GuardsReported": (assess_drift,),
        "GuardsUnmeasured": (assess_drift,),
        "CampaignResumed": (measure_base, publish_fingerprints, measure_dev, charge_queries, assess_drift),
    },
    timers=(assess_drift,),
    check=check_engine,
    jobs=(SCORING, ASKING, FINGERPRINTING),
    preload=(
        "services.oracle.evaluate",
        "services.oracle.engines.local",
        "services.oracle.boards.ask",
        "services.oracle.fingerprints.publish",
    ),
)


def main() -> None:
    """Run the service."""
    run(SERVICE)
