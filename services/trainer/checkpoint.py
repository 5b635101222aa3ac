"""A job's state on disk, complete or absent: a killed job goes on from it and ends with the same adapter, bit for bit.

The data order is a function of the job's seed, so its cursor is the step; what else a step depends on is saved here.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from schemas.base import digest
from services.trainer.job import TrainingJob

EVERY = 50
"""Steps between two checkpoints: a few seconds of work are the most that a killed job repeats."""


def save(job: TrainingJob, state: dict[str, Any]) -> None:
    """Replace the job's checkpoint. The rename is the marker: a half-written file never bears the name.

    Each process writes a file of its own: a try that lost its lease may not have noticed, and writes beside the next.
    """
    path = _path(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        torch.save({"job": identity(job), "rng": _rng(), **state}, file)
        os.fsync(file.fileno())
    part.rename(path)


def load(job: TrainingJob) -> dict[str, Any] | None:
    """The job's checkpoint, its random generators restored; None where there is none, or one of another job."""
    if not (path := _path(job)).is_file():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if state["job"] != identity(job):
        return None
    torch.set_rng_state(state["rng"]["cpu"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["rng"]["cuda"])
    return state


def discard(job: TrainingJob) -> None:
    """Remove the folder of a finished job: its checkpoint, and what a try left that was killed as it copied."""
    shutil.rmtree(job.work, ignore_errors=True)


def _path(job: TrainingJob) -> Path:
    return Path(job.work) / "checkpoint.pt"


def identity(job: TrainingJob) -> str:
    """Whose checkpoint it is: hash of all that decides the adapter; where the job's files lie does not."""
    return digest(job.model_dump(mode="json", exclude={"work", "out", "copies"}))


def _rng() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}
