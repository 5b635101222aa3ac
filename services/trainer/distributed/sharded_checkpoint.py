"""The checkpoint of a sharded job: a folder per step, to which every rank writes its part.

step-000150          the current one
step-000200.X.part   one that is being written, or that a crash has cut short
  state.pt           the state, where a sharded tensor is replaced by a note of its name and shape
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

from services.trainer.distributed.data_parallel import Ranks

STATE = "state.pt"
NOTE = "sharded tensor"
"""Key by which the note of a tensor is known."""

State = dict[str, Any]


def save(folder: Path, state: State, step: int, ranks: Ranks) -> None:
    """Write the state after a step and make it the current one; called by all ranks.

    The rename is the marker, and it comes when all have written: a folder that was cut short never bears the name.
    """
    name = f"step-{step:06d}"
    part = folder / ranks.told(f"{name}.{uuid4().hex}.part")
    tensors: dict[str, DTensor] = {}
    noted = _each(state, lambda value: _note(value, tensors))
    dcp.save(tensors, checkpoint_id=part)  # type: ignore[attr-defined]
    if ranks.first:
        with (part / STATE).open("wb") as file:
            torch.save(noted, file)
            os.fsync(file.fileno())
        _make_current(part, folder / name)


def load(folder: Path, identity: str, ranks: Ranks) -> State | None:
    """The current state, where it is this job's; each rank reads its own part of it."""
    name, noted = ranks.told(_current(folder, identity) if ranks.first else (None, None))
    if name is None:
        return None
    tensors: dict[str, DTensor] = {}
    mesh = init_device_mesh("cuda" if torch.cuda.is_available() else "cpu", (ranks.world,))

    def room(note: dict[str, Any]) -> DTensor:
        tensor = zeros(note["shape"], dtype=note["dtype"], device_mesh=mesh, placements=[Shard(0)])
        return tensors.setdefault(note[NOTE], tensor)

    state: State = _each(noted, lambda value: room(value) if isinstance(value, dict) and NOTE in value else value)
    dcp.load(tensors, checkpoint_id=folder / name)  # type: ignore[attr-defined]
    return state


def _current(folder: Path, identity: str) -> tuple[str | None, State | None]:
    """Name and noted state of the last complete checkpoint; nothing where there is none, or one of another job."""
    complete = [file.parent.name for file in folder.glob(f"step-*/{STATE}") if file.parent.suffix != ".part"]
    if not complete:
        return None, None
    state: State = torch.load(folder / max(complete) / STATE, map_location="cpu", weights_only=True)
    return (max(complete), state) if state["job"] == identity else (None, None)


def _make_current(part: Path, place: Path) -> None:
    """Rename the folder, and remove all others: older ones, and what crashes have left."""
    if place.exists():
        shutil.rmtree(place)
    part.rename(place)
    for other in place.parent.iterdir():
        if other != place:
            shutil.rmtree(other, ignore_errors=True)


def _note(value: Any, tensors: dict[str, DTensor]) -> Any:
    """A sharded tensor put aside under a name, which stands in its place; anything else as it is."""
    if not isinstance(value, DTensor):
        return value
    tensors[name := f"tensor {len(tensors)}"] = value
    return {NOTE: name, "shape": tuple(value.shape), "dtype": value.dtype}


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value with every part of its dictionaries and lists changed."""
    changed = change(value)
    if changed is not value:
        return changed
    if isinstance(value, dict):
        return {key: _each(part, change) for key, part in value.items()}
    return [_each(part, change) for part in value] if isinstance(value, list) else value
