"""Trainer: one leased job at a time, from recipe to adapter."""

from __future__ import annotations

from services.runtime.main import main as run
from services.runtime.service import Service
from services.trainer.adapter_job import TRAINING
from services.trainer.steps import queue_training

SERVICE = Service(
    name="trainer",
    reactions={
        "RecipeProposed": (queue_training,),
        "CampaignResumed": (queue_training,),
    },
    jobs=(TRAINING,),
    preload=("services.trainer.engine",),
)


def main() -> None:
    """Run the service."""
    run(SERVICE)
