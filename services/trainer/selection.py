"""Which weights a job keeps: the last, the best on held-back rows, or the mean over the last quarter of the steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from schemas.recipe import Recipe

Weights = dict[str, torch.nn.Parameter]

JUDGEMENTS = 10
"""How often `best` looks at the held-back rows, evenly over the job."""


class Selection:
    """Keeps the last weights: nothing to remember. The others remember weights beside those in training."""

    def __init__(self, recipe: Recipe, weights: Weights, held_loss: Callable[[], float]) -> None:
        self.steps = recipe.steps
        self.weights = weights
        self.held_loss = held_loss
        self.kept: dict[str, torch.Tensor] = {}
        self.score = 0.0

    def observe(self, done: int) -> None:
        """Look at the weights after `done` steps."""

    def apply(self) -> None:
        """Put the kept weights into the model."""
        with torch.no_grad():
            for name, kept in self.kept.items():
                self.weights[name].copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed job needs."""
        return {"kept": self.kept, "score": self.score}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.kept, self.score = state["kept"], state["score"]


class Best(Selection):
    """Keeps the weights with the lowest loss on the held-back rows; `score` is that loss."""

    def observe(self, done: int) -> None:
        """Judge at every tenth of the job and at its end."""
        if done % max(1, self.steps // JUDGEMENTS) and done != self.steps:
            return
        loss = self.held_loss()
        if not self.kept or loss < self.score:
            self.kept = {name: weight.detach().clone() for name, weight in self.weights.items()}
            self.score = loss


class Average(Selection):
    """Keeps the running mean over the last quarter of the steps; `score` counts its members."""

    def observe(self, done: int) -> None:
        """Take the weights into the mean."""
        if done <= self.steps - max(1, self.steps // 4):
            return
        self.score += 1
        for name, weight in self.weights.items():
            mean = self.kept.setdefault(name, weight.detach().clone())
            mean.lerp_(weight.detach(), 1 / self.score)


SELECTIONS: dict[str, type[Selection]] = {"last": Selection, "best": Best, "average": Average}
"""Rule per value of the recipe's `checkpoint`."""
