"""One candidate's fine-tuning, from job to adapter: a plain function, run in a subprocess that has imported torch.

Everything random or ordered is decided by the job before the first step; a method only walks through it. That is why
a job can be killed at any step and why its result can be compared bit for bit.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from transformers import AutoTokenizer

from services.runtime import artifacts
from services.runtime.hashing import hash_folder
from services.runtime.models import model_folder
from services.trainer import checkpoint
from services.trainer.batches import prepare
from services.trainer.job import OutOfMemory, Trained, TrainingJob
from services.trainer.learner import Learner, Report
from services.trainer.methods.sft import Supervised
from services.trainer.ranks import Ranks, here, joined, tell


def train(job: TrainingJob, report: Report) -> Trained:
    """Fine-tune and save what was trained; `report` gets {"step", "steps", "loss"} a few times a second.

    Resumes from the job's last complete checkpoint. Raises `ModelMissing`, `SnapshotMissing`, `ArtifactChanged`,
    `RowsMissing`, `TargetModuleMissing`, `AdapterUntrained`, `QuantizerMissing`, `RowsSeen`, `OutOfMemory`, or
    `StoreFailed`.
    """
    if here().world > 1:
        tell(job)
    try:
        with joined() as ranks:
            return _train(job, report, ranks)
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"model.max_length: {job.max_length} tokens do not fit the accelerator; lower it") from error


def follow(job: TrainingJob) -> None:
    """Learn along with the first rank, which reports and saves."""
    with joined() as ranks:
        run = _begin(job, ranks)
        run.go(run.restore(), lambda _: None)


def _begin(job: TrainingJob, ranks: Ranks) -> Learner:
    base = model_folder(job.base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    if job.recipe.method == "grpo":
        from services.trainer.methods.grpo import Reinforced  # seconds to import, for the jobs that need it

        return Reinforced(job, tokenizer, base, ranks)
    return Supervised(job, prepare(job, tokenizer), base, ranks)


def _train(job: TrainingJob, report: Report, ranks: Ranks) -> Trained:
    wall, device = time.monotonic(), device_seconds()
    run = _begin(job, ranks)
    first = run.restore()
    run.go(first, report)
    coverage = run.form.coverage(run.model, run.optimizer)
    with artifacts.writing(job.out, Path(job.work)) as folder:
        run.form.save(run.model, folder, run.base)
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


def ending(steps: list[float]) -> float:
    """Mean over the last tenth."""
    last = steps[-max(1, len(steps) // 10) :]
    return sum(last) / len(last)


def device_seconds() -> float:
    """A clock of the device: its wall time where it is an accelerator, else this process's processor time."""
    return time.monotonic() if torch.cuda.is_available() else time.process_time()
