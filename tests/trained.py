"""Training jobs for tests: a recipe and a few places make one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pyarrow import Table, parquet

from schemas.recipe import Recipe
from schemas.rows import Row
from services.trainer.engine import train
from services.trainer.job import Trained, TrainingJob
from tests.tiny_models import make_model, make_snapshot

QUICK = {"steps": 6, "batch": 8, "rank": 4, "alpha": 8.0, "traces": 0.5}


class Killed(Exception):
    pass


def make_inputs(folder: Path, *, width: int = 32, rows: int = 40) -> dict[str, str]:
    return {"base": str(make_model(folder / "base", width=width)), "snapshot": make_snapshot(folder, rows=rows)}


def make_job(folder: Path, inputs: dict[str, Any], *, seed: int = 1, **recipe: Any) -> TrainingJob:
    places = {"work": str(folder / "work"), "out": str(folder / "out"), "copies": "none"}
    limits = {"max_length": 128, "max_new_tokens": 16}
    chosen = Recipe(**{**QUICK, **recipe})
    return TrainingJob(candidate="r1s0", recipe=chosen, seed=seed, **limits, **places, **inputs)


def quiet(job: TrainingJob) -> Trained:
    return train(job, lambda _: None)


def kill_at(job: TrainingJob, step: int) -> None:
    """Train until a step has been reported, then fail as if killed."""

    def report(progress: dict[str, Any]) -> None:
        if progress["step"] >= step:
            raise Killed

    try:
        train(job, report)
    except Killed:
        return
    raise AssertionError(f"the job ended before step {step}")


def write_rows(place: Path, rows: Sequence[Row]) -> str:
    """A snapshot of these rows."""
    place.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(Table.from_pylist([asdict(row) for row in rows]), place)
    return str(place)
