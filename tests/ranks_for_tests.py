"""The processes of a job that learns on several devices, as the system sees them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.trainer.job import TrainingJob


def until(true: Callable[[], Any], seconds: float = 240) -> Any:
    end = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return answer


def rank_processes(job: TrainingJob) -> dict[int, int]:
    """Process id of each rank of a job."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
            if "services.trainer.distributed.rank" not in words or "torch.distributed.run" in words:
                continue
            if TrainingJob.model_validate_json((Path(words[-2]) / "job.json").read_text()).work == job.work:
                variables = (process / "environ").read_bytes().decode().split("\0")
                found[int(dict(pair.partition("=")[::2] for pair in variables)["RANK"])] = int(process.name)
        except (OSError, ValueError, KeyError):  # it has ended meanwhile, or just begun
            continue
    return found


def signalled(job: TrainingJob, rank: int, number: int, after: Callable[[], Any]) -> None:
    """Send a rank a signal as soon as something is so."""
    until(after)
    os.kill(until(lambda: rank_processes(job).get(rank)), number)


def step_folders(job: TrainingJob) -> list[Path]:
    """The complete checkpoints of a sharded job."""
    return [path for path in Path(job.work).glob("checkpoint/step-*") if path.suffix != ".part"]
