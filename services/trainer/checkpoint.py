"""A job's state on disk, complete or absent: a killed job resumes from it and ends with the same adapter, bit for bit.

The data order is a function of the job's seed, so its cursor is the step; whatever else a step depends on is saved
here. All ranks save together, load together, and follow the first. Where every rank holds the whole model, the first
writes one file, `checkpoint.pt`. A sharded job has a folder `checkpoint` with a folder per step, to which every rank
writes its part:

step-000150          the current one
step-000200.X.part   one that is being written, or that a crash interrupted
  state.pt           the state, in which a note of name and shape replaces each sharded tensor
  *.distcp           the parts of the sharded tensors
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch.distributed import checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard, zeros

from schemas.base import digest
from services.trainer.distributed.data_parallel import SINGLE_RANK, Ranks
from services.trainer.distributed.fsdp import Sharded
from services.trainer.job import TrainingJob

EVERY = 50
"""Steps between two checkpoints: a killed job repeats at most a few seconds of work."""

STATE = "state.pt"

NOTE = "sharded tensor"
"""Key of the note that replaces a sharded tensor."""

State = dict[str, Any]


def save(job: TrainingJob, state: State, ranks: Ranks = SINGLE_RANK) -> None:
    """Replace the job's checkpoint; the random generators of all ranks are part of it."""
    whole = {"job": identity(job, ranks), "rng": ranks.gather(_random_generators()), **state}
    if isinstance(ranks, Sharded):
        _save_sharded(Path(job.work) / "checkpoint", whole, len(state["losses"]), ranks)
    elif ranks.first:
        _write_file(_file(job), whole)


def load(job: TrainingJob, ranks: Ranks = SINGLE_RANK) -> State | None:
    """The job's checkpoint, its random generators restored; None if there is none, or if it is another job's."""
    if isinstance(ranks, Sharded):
        state = _load_sharded(Path(job.work) / "checkpoint", identity(job, ranks), ranks)
    else:
        state = ranks.broadcast(_read_file(_file(job), identity(job, ranks)) if ranks.first else None)
    if state is not None:
        rng = state["rng"][ranks.rank]
        torch.set_rng_state(rng["cpu"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state(rng["cuda"])
    return state


def discard(job: TrainingJob) -> None:
    """Remove the folder of a finished job: its checkpoint, and the remains of a try that was killed as it copied."""
    shutil.rmtree(job.work, ignore_errors=True)


def identity(job: TrainingJob, ranks: Ranks) -> str:
    """Whose checkpoint it is: a hash of all that decides the adapter, but not of where the job's files lie."""
    fixed = job.model_dump(mode="json", exclude={"work", "out", "copies", "rank_seconds", "task_path"})
    return digest({"job": fixed, "ranks": ranks.world})


def _random_generators() -> dict[str, torch.Tensor]:
    """State of this rank's random generators."""
    cuda = {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
    return {"cpu": torch.get_rng_state(), **cuda}


def _file(job: TrainingJob) -> Path:
    return Path(job.work) / "checkpoint.pt"


def _write_file(path: Path, state: State) -> None:
    """Replace the file by a rename: a file that was cut short never has the name.

    Each process writes a part file of its own: a try that lost its lease may still write while the next one does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        torch.save(state, file)
        os.fsync(file.fileno())
    part.rename(path)


def _read_file(path: Path, identity: str) -> State | None:
    if not path.is_file():
        return None
    state: State = torch.load(path, map_location="cpu", weights_only=True)
    return state if state["job"] == identity else None


def _save_sharded(folder: Path, state: State, step: int, ranks: Ranks) -> None:
    """Write the state after a step and make it the current one; called by all ranks.

    The rename marks completeness and comes after all ranks have written: a folder that was cut short never has the
    name.
    """
    name = f"step-{step:06d}"
    part = folder / ranks.broadcast(f"{name}.{uuid4().hex}.part")
    tensors: dict[str, DTensor] = {}

    def note(value: Any) -> Any:
        if not isinstance(value, DTensor):
            return value
        tensors[name := f"tensor {len(tensors)}"] = value
        return {NOTE: name, "shape": tuple(value.shape), "dtype": value.dtype}

    with_notes = _map_leaves(state, note)
    dcp.save(tensors, checkpoint_id=part)  # type: ignore[attr-defined]
    if ranks.first:
        with (part / STATE).open("wb") as file:
            torch.save(with_notes, file)
            os.fsync(file.fileno())
        _make_current(part, folder / name)


def _load_sharded(folder: Path, identity: str, ranks: Ranks) -> State | None:
    """The current state, if it is this job's; each rank reads its own part of it."""
    name, with_notes = ranks.broadcast(_current(folder, identity) if ranks.first else (None, None))
    if name is None:
        return None
    tensors: dict[str, DTensor] = {}
    mesh = init_device_mesh("cuda" if torch.cuda.is_available() else "cpu", (ranks.world,))

    def allocate(value: Any) -> Any:
        if not (isinstance(value, dict) and NOTE in value):
            return value
        tensor = zeros(value["shape"], dtype=value["dtype"], device_mesh=mesh, placements=[Shard(0)])
        return tensors.setdefault(value[NOTE], tensor)

    state: State = _map_leaves(with_notes, allocate)
    dcp.load(tensors, checkpoint_id=folder / name)  # type: ignore[attr-defined]
    return state


def _current(folder: Path, identity: str) -> tuple[str | None, State | None]:
    """Name and state of the last complete checkpoint; None and None if there is none, or if it is another job's."""
    complete = [file.parent.name for file in folder.glob(f"step-*/{STATE}") if file.parent.suffix != ".part"]
    if not complete:
        return None, None
    state: State = torch.load(folder / max(complete) / STATE, map_location="cpu", weights_only=True)
    return (max(complete), state) if state["job"] == identity else (None, None)


def _make_current(part: Path, folder: Path) -> None:
    """Rename the part, and remove all other folders: older ones, and the remains of crashes."""
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)


def _map_leaves(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value with each part of its dictionaries and lists changed."""
    changed = change(value)
    if changed is not value:
        return changed
    if isinstance(value, dict):
        return {key: _map_leaves(part, change) for key, part in value.items()}
    return [_map_leaves(part, change) for part in value] if isinstance(value, list) else value
