"""One job on several processes: each learns its share of every batch, and all take the same step with summed gradients.

Every rank holds the whole model and decides everything from the same job, so only gradients travel. Who a process is
says the environment that torchrun gives it; without that, a process is alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from services.trainer.batches import Batch
from services.trainer.job import TrainingJob

KEY = "aevolve/job"
"""Under which the first rank tells the others the job."""

NOTHING = "none"
"""What it tells where there is no job."""

PATIENCE = timedelta(days=1)
"""How long the others wait to be told. They end before with the first, which keeps the store."""


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is."""

    rank: int = 0
    """Counted from 0 over all hosts. The first leases the job, reports and writes."""
    world: int = 1
    """Processes of all hosts."""

    @property
    def first(self) -> bool:
        """Whether it is this one that speaks for all."""
        return self.rank == 0

    def share(self, batch: Batch) -> Batch:
        """This rank's rows of a batch; there may be none."""
        return batch[self.rank :: self.world]

    def add(self, weights: Iterable[torch.nn.Parameter], loss: float) -> float:
        """Replace the gradients by their sum over all ranks; the sum of the losses."""
        if self.world == 1:
            return loss
        gradients = [_gradient(weight) for weight in weights]
        told = torch.tensor([loss], device=gradients[0].device, dtype=torch.float32)
        whole = torch.cat([told, *(gradient.flatten().float() for gradient in gradients)])
        dist.all_reduce(whole)
        parts = torch.split(whole[1:], [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return float(whole[0])


ALONE = Ranks()


def _gradient(weight: torch.nn.Parameter) -> torch.Tensor:
    """A weight's gradient, nought where no row of this rank's share has reached it."""
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad


def here() -> Ranks:
    """Who this process is."""
    return Ranks(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


@contextmanager
def joined() -> Iterator[Ranks]:
    """This process among the others, on a device of its own, for as long as a job lasts."""
    ranks = here()
    if ranks.world == 1:
        yield ranks
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield ranks
    finally:
        dist.destroy_process_group()


def tell(job: TrainingJob | None) -> None:
    """As the first rank: let the others learn too, or end where there is no job; only the first word counts."""
    _store().compare_set(KEY, "", job.model_dump_json() if job else NOTHING)


def hear() -> TrainingJob | None:
    """As another rank: wait for the job; None where there is none."""
    store = _store()
    store.wait([KEY], PATIENCE)
    text = store.get(KEY).decode()
    return None if text == NOTHING else TrainingJob.model_validate_json(text)


def _store() -> Any:
    """Where torchrun's processes leave each other notes."""
    return dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)  # type: ignore[attr-defined]
