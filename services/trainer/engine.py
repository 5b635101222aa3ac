"""One candidate's fine-tuning, from job to adapter: a plain function, run in a subprocess that has imported torch.

Everything random or ordered is decided by the job before the first step; the loop only walks through it. That is why
a job can be killed at any step and why its result can be compared bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from services.runtime import artifacts
from services.runtime.hashing import hash_folder
from services.runtime.models import model_folder
from services.trainer import checkpoint, lora, preflight
from services.trainer.batches import IGNORED, Batch, Data, pad, pieces, prepare
from services.trainer.group import joined
from services.trainer.job import OutOfMemory, Trained, TrainingJob
from services.trainer.launch import launch
from services.trainer.loading import load
from services.trainer.optimizer import adamw, update
from services.trainer.ranks import ALONE, Ranks, here, tell
from services.trainer.selection import SELECTIONS

Report = Callable[[dict[str, Any]], None]

Beat = Callable[[], None]
"""A sign of life, once a step."""

MICRO_TOKENS = 16_384
"""Padded tokens of one forward pass. With 131,072 vocabulary entries their logits take 8 GiB in single precision."""

REPORT_SECONDS = 0.25
"""Shortest pause between two reports."""


def silent() -> None:
    """Give no sign."""


def train(job: TrainingJob, report: Report) -> Trained:
    """Fine-tune a LoRA adapter and save it; `report` gets {"step", "steps", "loss"} a few times a second.

    Several devices of this host learn in processes of their own, which are started here. Over several hosts they have
    been started already, and this one is the first.

    Resumes from the job's last complete checkpoint. Raises as `preflight.check` and `launch` do, and `RowsMissing`,
    `AdapterUntrained`, `OutOfMemory`, or `StoreFailed`.
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
        first = run.restore()
        run.go(first, report)
        learnt = ranks.whole(run.weights)
    covered = lora.coverage(run.model, learnt)
    with artifacts.writing(job.out, Path(job.work)) as folder:
        lora.save(run.model, learnt, folder, run.base.name)
        sha256 = hash_folder(folder)
    checkpoint.discard(job)
    last = run.losses[-max(1, job.recipe.steps // 10) :]
    return Trained(
        candidate=job.candidate,
        uri=job.out,
        sha256=sha256,
        coverage=covered,
        loss=sum(last) / len(last),
        tokens=run.data.tokens,
        too_long=run.data.too_long,
        resumed_from=first,
        seconds=time.monotonic() - wall,
        device_seconds=(device_seconds() - device) * ranks.world,  # the others take as long as the first
    )


def follow(job: TrainingJob, beat: Beat = silent) -> None:
    """Learn along with the first rank, which reports and saves."""
    with fitting(job), joined(job, beat) as ranks:
        run = _begin(job, ranks)
        run.go(run.restore(), lambda _: None)
        ranks.whole(run.weights)


@contextmanager
def fitting(job: TrainingJob) -> Iterator[None]:
    """Say of an accelerator that is full what would help."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"model.max_length: {job.max_length} tokens do not fit the accelerator; lower it") from error


def _begin(job: TrainingJob, ranks: Ranks) -> Run:
    base = model_folder(job.base)
    return Run(job, prepare(job, AutoTokenizer.from_pretrained(base)), base, ranks)


def place() -> tuple[str, torch.dtype]:
    """Device and number format: bfloat16 on an accelerator, single precision on one processor thread.

    More threads make small models slower, and let the order of sums vary.
    """
    if torch.cuda.is_available():
        return "cuda", torch.bfloat16
    torch.set_num_threads(1)
    return "cpu", torch.float32


def device_seconds() -> float:
    """A clock of the device: its wall time where it is an accelerator, else this process's processor time."""
    return time.monotonic() if torch.cuda.is_available() else time.process_time()


class Run:
    """A job in progress: the model, its optimizer, and what has been learnt so far."""

    def __init__(self, job: TrainingJob, data: Data, base: Path, ranks: Ranks = ALONE) -> None:
        self.job, self.data, self.base, self.ranks = job, data, base, ranks
        self.device, dtype = place()
        torch.manual_seed(job.seed)
        self.model = ranks.build(lambda device: lora.attach(load(base, dtype, device), job.recipe), self.device)
        self.weights = lora.trainable(self.model)
        self.optimizer = adamw(self.weights.values(), job.recipe)
        self.selection = SELECTIONS[job.recipe.checkpoint](job.recipe, self.weights, self.held_loss)
        self.losses: list[float] = []

    def restore(self) -> int:
        """Take up the last checkpoint; the step to go on from."""
        if (state := checkpoint.load(self.job, self.ranks)) is None:
            return 0
        with torch.no_grad():
            for name, weight in state["weights"].items():
                self.weights[name].copy_(weight)
        self.optimizer.load_state_dict(state["optimizer"])
        self.selection.load_state_dict(state["selection"])
        self.losses = state["losses"]
        return len(self.losses)

    def save(self) -> None:
        """Write a checkpoint after the steps taken so far."""
        state = {
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "optimizer": self.optimizer.state_dict(),
            "selection": self.selection.state_dict(),
            "losses": self.losses,
        }
        checkpoint.save(self.job, state, self.ranks)

    def go(self, first: int, report: Report) -> None:
        """Take the remaining steps and leave the chosen weights in the model."""
        steps, reported = self.job.recipe.steps, float("-inf")
        self.model.train()
        for step in range(first, steps):
            self.losses.append(self.learn(self.data.batches[step]))
            update(self.optimizer, self.job.recipe, step)
            self.selection.observe(step + 1)
            if (step + 1) % checkpoint.EVERY == 0 and step + 1 < steps:
                self.save()
            if (now := time.monotonic()) - reported >= REPORT_SECONDS or step + 1 == steps:
                report({"step": step + 1, "steps": steps, "loss": self.losses[-1]})
                reported = now
        self.selection.apply()

    def learn(self, batch: Batch) -> float:
        """Gradients of the batch's mean completion loss; that loss, in nats per token."""
        learnt = sum(example.learnt for example in batch)
        total = 0.0
        for piece, counts in self.ranks.passes(batch, lambda share: pieces(share, MICRO_TOKENS)):
            loss = self.loss(piece) / learnt * counts
            torch.autograd.backward(loss)
            total += loss.item()
        return self.ranks.add(self.weights.values(), total)

    def loss(self, batch: Batch) -> torch.Tensor:
        """Sum of the completion tokens' losses."""
        ids, targets = (torch.from_numpy(part).to(self.device) for part in pad(batch, filler=0))
        logits = self.model(input_ids=ids, use_cache=False).logits[:, :-1]
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), targets[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
        )

    def held_loss(self) -> float:
        """Mean completion loss on the held-back rows."""
        held = self.data.held
        self.model.eval()
        with torch.inference_mode():
            total = sum(self.loss(piece).item() for piece in pieces(held, MICRO_TOKENS))
        self.model.train()
        return total / sum(example.learnt for example in held)
