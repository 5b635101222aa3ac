"""One candidate's fine-tuning, from job to adapter: a plain function, run in a subprocess that has imported torch.

Everything random or ordered is decided by the job before the first step; a method only walks through it. That is why
a job can be killed at any step and why its result can be compared bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoTokenizer

from schemas.evidence import Coverage
from services.runtime.storage import artifacts
from services.runtime.storage.hashing import hash_folder
from services.runtime.storage.model_folders import model_folder
from services.trainer import checkpoint, preflight
from services.trainer.batches import prepare
from services.trainer.distributed.data_parallel import Ranks, here, tell
from services.trainer.distributed.group import joined
from services.trainer.distributed.launch import launch
from services.trainer.job import OutOfMemory, Trained, TrainingJob
from services.trainer.learner import Learner, Report
from services.trainer.methods.sft import Supervised

Beat = Callable[[], None]
"""A sign of life, once a step."""


def silent() -> None:
    """Give no sign."""


def train(job: TrainingJob, report: Report) -> Trained:
    """Fine-tune and save what was trained; `report` gets {"step", "steps", "loss"} a few times a second.

    Several devices of this host learn in processes of their own, which are started here. Over several hosts they have
    been started already, and this one is the first.

    Resumes from the job's last complete checkpoint. Raises as `preflight.check` and `launch` do, and `RowsMissing`,
    `AdapterUntrained`, `QuantizerMissing`, `RowsSeen`, `OutOfMemory`, or `StoreFailed`.
    """
    preflight.check(job)
    if here().world > 1:
        tell(job)
    elif job.recipe.devices > 1:
        return launch(job, report)
    return lead(job, report)


def lead(job: TrainingJob, report: Report, beat: Beat = silent) -> Trained:
    """Learn, report and save: as the only process, or as the first of several."""
    wall, device = time.monotonic(), device_seconds()
    with fitting(job), joined(job, beat) as ranks:
        run = _begin(job, ranks)
        first, coverage, learnt = _learn(run, report)
    with artifacts.create(job.out, Path(job.work)) as folder:
        run.form.save(run.model, learnt, folder, run.base)
        sha256 = hash_folder(folder)
    checkpoint.discard(job)
    return Trained(
        candidate=job.candidate,
        uri=job.out,
        form=run.form.saved,
        sha256=sha256,
        coverage=coverage,
        loss=ending(run.losses),
        reward=ending(run.rewards) if run.rewards else None,
        tokens=run.tokens,
        too_long=run.too_long,
        resumed_from=first,
        seconds=time.monotonic() - wall,
        device_seconds=(device_seconds() - device) * ranks.world,  # the others take as long as the first
    )


def follow(job: TrainingJob, beat: Beat = silent) -> None:
    """Learn along with the first rank, which reports and saves."""
    with fitting(job), joined(job, beat) as ranks:
        _learn(_begin(job, ranks), lambda _: None)


def _learn(run: Learner, report: Report) -> tuple[int, Coverage, dict[str, torch.Tensor]]:
    """What all ranks do alike: the step they went on from, which modules have learnt, and the weights, whole."""
    first = run.restore()
    run.go(first, report)
    return first, run.form.coverage(run.model, run.optimizer, run.ranks), run.ranks.whole(run.weights)


@contextmanager
def fitting(job: TrainingJob) -> Iterator[None]:
    """Say of an accelerator that is full what would help."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"model.max_length: {job.max_length} tokens do not fit the accelerator; lower it") from error


def _begin(job: TrainingJob, ranks: Ranks) -> Learner:
    base = model_folder(job.base)
    preflight.check_memory(job, base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    if job.recipe.method == "grpo":
        from services.trainer.methods.grpo import Reinforced  # seconds to import, for the jobs that need it

        return Reinforced(job, tokenizer, base, ranks)
    data = prepare(job, tokenizer)
    preflight.check_rows(job, data)
    return Supervised(job, data, base, ranks)


def ending(steps: list[float]) -> float:
    """Mean over the last tenth."""
    last = steps[-max(1, len(steps) // 10) :]
    return sum(last) / len(last)


def device_seconds() -> float:
    """A clock of the device: its wall time where it is an accelerator, else this process's processor time."""
    return time.monotonic() if torch.cuda.is_available() else time.process_time()
