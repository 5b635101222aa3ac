"""Data service: policy -> the round's training data as an immutable snapshot."""

from __future__ import annotations

from services.data.snapshot_job import SNAPSHOT
from services.data.steps import refresh, reuse
from services.runtime.main import main as run
from services.runtime.service import Service

SERVICE = Service(
    name="data",
    reactions={
        "PolicyUpdated": (refresh,),
        "FingerprintsPublished": (refresh,),
        "CampaignResumed": (refresh,),
    },
    timers=(reuse,),
    jobs=(SNAPSHOT,),
    preload=("services.data.snapshot",),
)


def main() -> None:
    """Run the service."""
    run(SERVICE)
