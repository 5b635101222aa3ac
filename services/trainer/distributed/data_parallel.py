"""One job on several processes: each learns its share of every batch, and all take the same step with summed gradients.

Every rank decides everything from the same job, so only gradients travel, and weights where the model is sharded
(`services.trainer.distributed.fsdp`). A process reads its rank from the environment that torchrun gives it; without
that, it is alone.
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

JOB = "aevolve/job"
"""Key under which the first rank announces the job to the others."""

NO_JOB = "none"
"""The announcement that there is no job."""

JOB_TIMEOUT = timedelta(days=1)
"""How long the others wait for the announcement. They end earlier with the first rank, which hosts the store."""

READY, READY_SECONDS = "aevolve/ready", 3600.0
"""Key under which each rank announces that it has its model, and how long the others wait for that."""


@dataclass(frozen=True)
class Ranks:
    """One of the processes of a job, each of which holds the whole model."""

    rank: int = 0
    """Counted from 0 over all hosts. The first leases the job, reports and writes."""
    world: int = 1
    """Processes of all hosts."""
    beat: Callable[[], None] = lambda: None
    """Called when this rank has its model, and once a step, when it has computed its part and waits for the others."""

    @property
    def first(self) -> bool:
        """Whether this rank reports and writes for all."""
        return self.rank == 0

    def build(self, make: Callable[[str], Any], device: str) -> Any:
        """The model that `make` builds on a device, as this rank holds it; equal at all ranks."""
        model = make(device)
        self.wait_for_models()
        self.seed_own_generator()
        return model

    def wait_for_models(self) -> None:
        """Wait until every rank has loaded its model, which may take much longer than any step."""
        if self.world > 1:
            store = _store()
            store.set(f"{READY}/{self.rank}", "")
            store.wait([f"{READY}/{rank}" for rank in range(self.world)], timedelta(seconds=READY_SECONDS))
        self.beat()

    def seed_own_generator(self) -> None:
        """Give this rank random numbers of its own, so that no two ranks share a dropout mask."""
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
        """Replace the gradients by their sum over all ranks; the sum of the losses.

        A gradient is zero where no row of this rank's share has reached its weight.
        """
        self.beat()
        if self.world == 1:
            return loss
        gradients = []
        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            gradients.append(weight.grad)
        own_loss = torch.tensor([loss], device=gradients[0].device, dtype=torch.float32)
        whole = torch.cat([own_loss, *(gradient.flatten().float() for gradient in gradients)])
        dist.all_reduce(whole)
        parts = torch.split(whole[1:], [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return float(whole[0])

    def whole(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The weights in full, in this process's memory; called by all ranks, and only the first needs the result."""
        return {name: weight.detach() for name, weight in weights.items()}

    def moved(self, tensors: Sequence[torch.Tensor]) -> list[bool]:
        """Whether each tensor has a non-zero element; called by all ranks."""
        return [bool(tensor.any()) for tensor in tensors]

    def broadcast(self, value: T) -> T:
        """The first rank's value, at every rank."""
        if self.world == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def gather(self, value: T) -> list[T]:
        """The values of all ranks in their order, at every rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values


SINGLE_RANK = Ranks()


def this_rank() -> Ranks:
    """The rank of this process."""
    return Ranks(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def announce(job: TrainingJob | None) -> None:
    """As the first rank: let the others train too, or end if there is no job; only the first announcement counts."""
    _store().compare_set(JOB, "", job.model_dump_json() if job else NO_JOB)


def wait_for_job() -> TrainingJob | None:
    """As another rank: wait for the announcement of the job; None if there is none."""
    store = _store()
    store.wait([JOB], JOB_TIMEOUT)
    text = store.get(JOB).decode()
    return None if text == NO_JOB else TrainingJob.model_validate_json(text)


def _store() -> Any:
    """The key-value store of torchrun's processes."""
    return dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)  # type: ignore[attr-defined]
