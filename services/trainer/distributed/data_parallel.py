"""One job on several processes: each learns its share of every batch, and all take the same step with summed gradients.

Every rank decides everything from the same job, so only gradients travel, and weights where the model is sharded
(`services.trainer.distributed.fsdp`). Who a process is says the environment that torchrun gives it; without that, it
is alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from services.trainer.batches import Batch
from services.trainer.job import TrainingJob

T = TypeVar("T")

KEY = "aevolve/job"
"""Under which the first rank tells the others the job."""

NOTHING = "none"
"""What it tells where there is no job."""

PATIENCE = timedelta(days=1)
"""How long the others wait to be told. They end before with the first, which keeps the store."""

READY, READY_SECONDS = "aevolve/ready", 3600.0
"""Under which each rank says that it has its model, and how long the others wait for that."""


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is, each of which holds the whole model."""

    rank: int = 0
    """Counted from 0 over all hosts. The first leases the job, reports and writes."""
    world: int = 1
    """Processes of all hosts."""
    beat: Callable[[], None] = lambda: None
    """Called when this rank has its model, and once a step, when it has computed its part and waits for the others."""

    @property
    def first(self) -> bool:
        """Whether it is this one that speaks for all."""
        return self.rank == 0

    def build(self, make: Callable[[str], Any], device: str) -> Any:
        """The model that `make` gives for a device, as this rank holds it; equal at all ranks."""
        model = make(device)
        self.meet()
        self.part()
        return model

    def meet(self) -> None:
        """Wait until every rank has read what it reads: that may take much longer than any step."""
        if self.world > 1:
            store = _store()
            store.set(f"{READY}/{self.rank}", "")
            store.wait([f"{READY}/{rank}" for rank in range(self.world)], timedelta(seconds=READY_SECONDS))
        self.beat()

    def part(self) -> None:
        """From here on this rank draws random numbers of its own: no two drop out the same of different rows."""
        if not self.first:
            torch.manual_seed(torch.initial_seed() + self.rank)

    def share(self, batch: Batch) -> Batch:
        """This rank's rows of a batch; there may be none."""
        return batch[self.rank :: self.world]

    def passes(self, batch: Batch, cut: Callable[[Batch], Iterable[T]]) -> list[tuple[T, bool]]:
        """The forward passes of this rank's share, and whether each counts."""
        share = self.share(batch)
        return [(piece, True) for piece in cut(share)] if share else []

    def add(self, weights: Iterable[torch.nn.Parameter], loss: float) -> float:
        """Replace the gradients by their sum over all ranks; the sum of the losses."""
        self.beat()
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

    def whole(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The weights in full, in this process's memory; called by all ranks, and only the first need use them."""
        return {name: weight.detach() for name, weight in weights.items()}

    def moved(self, tensors: Sequence[torch.Tensor]) -> list[bool]:
        """Which of the tensors are not nought everywhere; called by all ranks."""
        return [bool(tensor.any()) for tensor in tensors]

    def told(self, value: T) -> T:
        """The first rank's value, at every rank."""
        if self.world == 1:
            return value
        told = [value]
        dist.broadcast_object_list(told)
        return told[0]

    def gathered(self, value: T) -> list[T]:
        """The values of all ranks in their order, at every rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values


ALONE = Ranks()


def _gradient(weight: torch.nn.Parameter) -> torch.Tensor:
    """A weight's gradient, nought where no row of this rank's share has reached it."""
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad


def here() -> Ranks:
    """Who this process is."""
    return Ranks(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


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
