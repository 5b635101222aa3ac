"""What every side trains: one job of the demo, with its model, its batches and its order fixed beforehand."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from schemas.recipe import Recipe
from services.console.campaign_file import load
from services.data.job import CellPlan, SnapshotPlan
from services.data.snapshot import build
from services.trainer.batches import Data, prepare
from services.trainer.job import TrainingJob
from services.trainer.tiny_base.make import make_base

DEMO = Path("deploy/campaigns/demo.yaml")
PRETRAINING = 20
"""Steps: what the weights are does not change what a step costs, so the model need not have learnt much."""


@dataclass(frozen=True)
class Work:
    """One training."""

    job: TrainingJob
    base: Path
    data: Data


@dataclass(frozen=True)
class Cost:
    """What one side needed for all steps, its start-up excluded."""

    tokens: int
    """Trained on, padding excluded: the same for all sides."""
    processor: float
    """Seconds of this process's threads."""
    wall: float
    """Seconds."""
    loss: float
    """Mean over all steps, per token that is learnt: equal work learns alike."""


Side = Callable[[Work], Cost]
"""Everything that trains: it makes itself ready, and measures its steps."""


def prepared(folder: Path, steps: int) -> Work:
    """The demo's recipe with so many steps, in a folder of its own."""
    campaign = load(DEMO)
    make_base(folder / "base", steps=PRETRAINING)
    recipe = campaign.recipe.replace("steps", steps)
    rows = -(-steps * recipe.batch // len(campaign.constitution.domains))
    job = TrainingJob(
        candidate="bench",
        recipe=recipe,
        base=str(folder / "base"),
        snapshot=_snapshot(folder, campaign.constitution.domains, max(rows, 40)),
        seed=0,
        max_length=campaign.model.max_length,
        work=str(folder / "work"),
        out=str(folder / "out"),
        copies=str(folder / "copies"),
    )
    return Work(job, folder / "base", prepare(job, AutoTokenizer.from_pretrained(folder / "base")))


def _snapshot(folder: Path, domains: tuple[str, ...], rows: int) -> str:
    cells = tuple(CellPlan(domain=domain, difficulty=1, wording=0, rows=rows) for domain in domains)
    return build(SnapshotPlan(seed="bench", cells=cells), folder / "snapshots").uri


class Watch:
    """Clocks of the steps: begun when the start-up is over."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Start anew."""
        self.at = time.process_time(), time.perf_counter()

    def cost(self, work: Work, loss: float) -> Cost:
        """What passed since."""
        processor, wall = self.at
        return Cost(work.data.tokens, time.process_time() - processor, time.perf_counter() - wall, loss)


def lora_settings(recipe: Recipe) -> dict[str, Any]:
    """The adapter that every side trains."""
    return {
        "task_type": "CAUSAL_LM",
        "r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": recipe.dropout,
        "target_modules": list(recipe.target_modules),
    }
