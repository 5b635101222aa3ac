"""AdamW with warm-up and schedule; the learning rate is a function of the step alone, so there is no more to resume."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from schemas.recipe import Recipe

FLOOR = 0.05
"""Share of the peak rate at which linear and cosine schedules end."""

CLIP = 1.0
"""Largest norm of the gradient."""

BETAS = (0.9, 0.98)
"""Decay of AdamW's moments; the second is shorter than usual, since jobs have hundreds of steps."""


def rate(recipe: Recipe, step: int) -> float:
    """Learning rate of a step, counted from 0. The first step already learns; the peak follows the warm-up."""
    rising = round(recipe.warmup * recipe.steps)
    if step < rising:
        return recipe.lr * (step + 1) / (rising + 1)
    done = (step - rising) / max(1, recipe.steps - rising)
    return recipe.lr * {"constant": 1.0, "linear": _linear(done), "cosine": _cosine(done)}[recipe.schedule]


def _linear(done: float) -> float:
    return 1 - (1 - FLOOR) * done


def _cosine(done: float) -> float:
    return FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * done)) / 2


def adamw(weights: Iterable[torch.nn.Parameter], recipe: Recipe) -> torch.optim.AdamW:
    """The optimizer; `update` sets its rate. Fused: one kernel for all of the adapter's many small tensors."""
    return torch.optim.AdamW(weights, lr=recipe.lr, betas=BETAS, weight_decay=recipe.weight_decay, fused=True)


def update(optimizer: torch.optim.AdamW, recipe: Recipe, step: int) -> None:
    """Clip the gradients and take one step."""
    group = optimizer.param_groups[0]
    group["lr"] = rate(recipe, step)
    torch.nn.utils.clip_grad_norm_(group["params"], CLIP)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
