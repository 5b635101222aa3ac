"""A job's state on disk, complete or absent: a killed job goes on from it and ends with the same adapter, bit for bit.

The data order is a function of the job's seed, so its cursor is the step; what else a step depends on is saved here. A
model that every rank holds whole is one file, which the first writes. Of a sharded one every rank writes its part
(`services.trainer.distributed.sharded_checkpoint`). Either way all ranks save together, load together, and follow
the first.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from schemas.base import digest
from services.trainer.distributed import sharded_checkpoint as shards
from services.trainer.distributed.data_parallel import ALONE, Ranks
from services.trainer.distributed.fsdp import Sharded
from services.trainer.job import TrainingJob

EVERY = 50
"""Steps between two checkpoints: a few seconds of work are the most that a killed job repeats."""

State = dict[str, Any]


def save(job: TrainingJob, state: State, ranks: Ranks = ALONE) -> None:
    """Replace the job's checkpoint; the random generators of all ranks are part of it."""
    whole = {"job": identity(job, ranks), "rng": ranks.gathered(_rng()), **state}
    if isinstance(ranks, Sharded):
        shards.save(Path(job.work) / "checkpoint", whole, len(state["losses"]), ranks)
    elif ranks.first:
        _write(_path(job), whole)


def load(job: TrainingJob, ranks: Ranks = ALONE) -> State | None:
    """The job's checkpoint, its random generators restored; None where there is none, or one of another job."""
    if isinstance(ranks, Sharded):
        state = shards.load(Path(job.work) / "checkpoint", identity(job, ranks), ranks)
    else:
        state = ranks.told(_read(_path(job), identity(job, ranks)) if ranks.first else None)
    if state is not None:
        rng = state["rng"][ranks.rank]
        torch.set_rng_state(rng["cpu"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state(rng["cuda"])
    return state


def discard(job: TrainingJob) -> None:
    """Remove the folder of a finished job: its checkpoint, and what a try left that was killed as it copied."""
    shutil.rmtree(job.work, ignore_errors=True)


def _write(path: Path, state: State) -> None:
    """Replace the file. The rename is the marker: a half-written file never bears the name.

    Each process writes a file of its own: a try that lost its lease may not have noticed, and writes beside the next.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        torch.save(state, file)
        os.fsync(file.fileno())
    part.rename(path)


def _read(path: Path, identity: str) -> State | None:
    if not path.is_file():
        return None
    state: State = torch.load(path, map_location="cpu", weights_only=True)
    return state if state["job"] == identity else None


def _path(job: TrainingJob) -> Path:
    return Path(job.work) / "checkpoint.pt"


def identity(job: TrainingJob, ranks: Ranks) -> str:
    """Whose checkpoint it is: hash of all that decides the adapter, but not of where the job's files lie."""
    fixed = job.model_dump(mode="json", exclude={"work", "out", "copies", "rank_seconds"})
    return digest({"job": fixed, "ranks": ranks.world})


def _rng() -> dict[str, torch.Tensor]:
    """State of this rank's random generators."""
    cuda = {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
    return {"cpu": torch.get_rng_state(), **cuda}
