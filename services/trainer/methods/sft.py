"""Supervised fine-tuning: the loss of the completions alone, in batches that are fixed before the first step."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Self

import torch

from services.trainer import checkpoint, preflight
from services.trainer.batches import Batch, Data, prepare
from services.trainer.distributed.data_parallel import SINGLE_RANK, Ranks
from services.trainer.job import TrainingJob
from services.trainer.learner import REPORT_SECONDS, Learner, Report, check_finite, in_steps
from services.trainer.optimizer import update


class Supervised(Learner):
    """A job that trains on one batch after the other."""

    def __init__(self, job: TrainingJob, data: Data, base: Path, ranks: Ranks = SINGLE_RANK) -> None:
        super().__init__(in_steps(job, len(data.batches)), base, data.held_out, ranks)
        self.data, self.tokens = data, data.tokens
        self.too_long, self.left_out = data.too_long, data.left_out

    @classmethod
    def begin(cls, job: TrainingJob, tokenizer: Any, base: Path, ranks: Ranks) -> Self:
        """The job with its batches. Raises as `batches.prepare` and `preflight.check_rows` do."""
        data = prepare(job, tokenizer)
        preflight.check_rows(job, data)
        return cls(job, data, base, ranks)

    def restore(self) -> int:
        """Load the last checkpoint, if any; the number of steps already done."""
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
        """Write a checkpoint after the current step."""
        state = {
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "optimizer": self.optimizer.state_dict(),
            "selection": self.selection.state_dict(),
            "losses": self.losses,
        }
        checkpoint.save(self.job, state, self.ranks)

    def run(self, first: int, report: Report) -> None:
        """Take the remaining steps and leave the selected weights in the model. Raises `LossNotFinite`."""
        steps, last_report = self.job.recipe.steps, float("-inf")
        self.model.train()
        for step in range(first, steps):
            self.losses.append(self.learn(self.data.batches[step]))
            norm = update(self.optimizer, self.job.recipe, step)
            check_finite(self.job.recipe, step + 1, self.losses[-1], norm)
            self.selection.observe(step + 1)
            if (step + 1) % checkpoint.EVERY == 0 and step + 1 < steps:
                self.save()
            if (now := time.monotonic()) - last_report >= REPORT_SECONDS or step + 1 == steps:
                report({"step": step + 1, "steps": steps, "loss": self.losses[-1]})
                last_report = now
        self.selection.apply()

    def learn(self, batch: Batch) -> float:
        """Gradients of the batch's mean completion loss; that loss, in nats per token."""
        learned = sum(example.learned for example in batch)
        total = 0.0
        for inputs, counts in self.ranks.passes(batch, self.inputs):
            loss = self.loss(inputs) / learned * counts
            torch.autograd.backward(loss)
            total += loss.item()
        return self.ranks.add(self.weights.values(), total)
