"""One candidate's fine-tuning, from job to adapter: a plain function, run in a subprocess that has imported torch.

Everything random or ordered is decided by the job before the first step; a method only executes it. So a job can be
killed at any step and resumed, and its result can be compared bit for bit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from schemas.evidence import Coverage
from services.runtime.storage import artifacts
from services.runtime.storage.hashing import hash_folder
from services.runtime.storage.model_folders import load_tokenizer, model_folder
from services.trainer import checkpoint, preflight, registry
from services.trainer.distributed.data_parallel import Ranks, announce, this_rank
from services.trainer.distributed.fsdp import Sharded
from services.trainer.distributed.launch import launch
from services.trainer.job import OutOfMemory, Trained, TrainingJob
from services.trainer.learner import Learner, Report
from services.trainer.methods import sft  # noqa: F401 - imported before the fork, so that no job waits for it
from services.trainer.model import full_weights, lora  # noqa: F401

GRACE = timedelta(minutes=1)
"""How long a rank waits for the others beyond the job's limit, so that the process that watches all judges first."""

Beat = Callable[[], None]
"""Called once a step as a sign of life."""


def silent() -> None:
    """Give no sign of life."""


def train(job: TrainingJob, report: Report) -> Trained:
    """Fine-tune and save the trained weights; `report` gets {"step", "steps", "loss"} a few times a second.

    For several devices of this host, this function starts a process each. Over several hosts torchrun has started the
    processes, and this is the first.

    Resumes from the job's last complete checkpoint. Raises as `preflight.check` and `launch` do, and `RowsMissing`,
    `RowsTooLong`, `AdapterUntrained`, `QuantizerMissing`, `RowsSeen`, `LossNotFinite`, `OutOfMemory`, or `StoreFailed`.
    """
    preflight.check(job)
    if this_rank().world > 1:
        announce(job)
    elif job.recipe.devices > 1:
        return launch(job, report)
    return lead(job, report)


def lead(job: TrainingJob, report: Report, beat: Beat = silent) -> Trained:
    """Train, report and save: as the only process, or as the first of several."""
    start, device_start = time.monotonic(), device_seconds()
    with out_of_memory_named(job), process_group(job, beat) as ranks:
        learner = _learner(job, ranks)
        first, coverage, weights = _train(learner, report)
    with artifacts.create(job.out, Path(job.work)) as folder:
        learner.trained.save(learner.model, weights, folder, learner.base)
        sha256 = hash_folder(folder)
    checkpoint.discard(job)
    return Trained(
        candidate=job.candidate,
        uri=job.out,
        form=learner.form.saved,
        sha256=sha256,
        coverage=coverage,
        loss=mean_of_last_tenth(learner.losses),
        reward=mean_of_last_tenth(learner.rewards) if learner.rewards else None,
        tokens=learner.tokens,
        too_long=learner.too_long,
        too_long_rows=learner.left_out.by_source,
        unused=learner.left_out.by_reason,
        resumed_from=first,
        seconds=time.monotonic() - start,
        device_seconds=(device_seconds() - device_start) * ranks.world,  # the others take as long as the first
    )


def follow(job: TrainingJob, beat: Beat = silent) -> None:
    """Train along with the first rank, which reports and saves."""
    with out_of_memory_named(job), process_group(job, beat) as ranks:
        _train(_learner(job, ranks), lambda _: None)


def _learner(job: TrainingJob, ranks: Ranks) -> Learner:
    base = model_folder(job.base)
    preflight.check_memory(job, base)
    learner: type[Learner] = registry.load(registry.METHODS.get(job.recipe.method).learner)
    return learner.begin(job, load_tokenizer(base), base, ranks)


def _train(learner: Learner, report: Report) -> tuple[int, Coverage, dict[str, torch.Tensor]]:
    """The part of all ranks: the steps that were already done, the coverage, and the weights in full."""
    first = learner.restore()
    learner.run(first, report)
    coverage = learner.trained.coverage(learner.model, learner.optimizer, learner.ranks)
    return first, coverage, learner.ranks.whole(learner.weights)


@contextmanager
def process_group(job: TrainingJob, beat: Beat) -> Iterator[Ranks]:
    """This process among the ranks of its job, on a device of its own.

    A collective operation that waits longer than the job allows fails: no rank waits forever for one that hangs.
    """
    rank = this_rank()
    if rank.world == 1:
        yield Ranks(beat=beat)
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(seconds=job.rank_seconds) + GRACE)
    kind = Sharded if job.recipe.sharding == "fsdp" else Ranks
    try:
        yield kind(rank.rank, rank.world, beat)
    finally:
        dist.destroy_process_group()


@contextmanager
def out_of_memory_named(job: TrainingJob) -> Iterator[None]:
    """Raise `OutOfMemory`, with the remedy, where the accelerator is full."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"model.max_length: {job.max_length} tokens do not fit the accelerator; lower it") from error


def mean_of_last_tenth(steps: list[float]) -> float:
    """Mean over the last tenth of the steps."""
    last = steps[-max(1, len(steps) // 10) :]
    return sum(last) / len(last)


def device_seconds() -> float:
    """A clock of the device: its wall time where it is an accelerator, else this process's processor time."""
    return time.monotonic() if torch.cuda.is_available() else time.process_time()
