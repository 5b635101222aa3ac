"""How a process joins the others of its job, for as long as the job lasts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from services.trainer.distributed.data_parallel import Ranks, here
from services.trainer.distributed.fsdp import Sharded
from services.trainer.job import TrainingJob

GRACE = timedelta(minutes=1)
"""What a rank waits for the others beyond the job's own limit, so that whoever watches all of them judges first."""


@contextmanager
def joined(job: TrainingJob, beat: Callable[[], None] = lambda: None) -> Iterator[Ranks]:
    """This process among the others, on a device of its own.

    A collective operation that waits longer than the job allows fails: no rank waits for ever for one that hangs.
    """
    me = here()
    if me.world == 1:
        yield Ranks(beat=beat)
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(seconds=job.rank_seconds) + GRACE)
    kind = Sharded if job.recipe.sharding == "fsdp" else Ranks
    try:
        yield kind(me.rank, me.world, beat)
    finally:
        dist.destroy_process_group()
