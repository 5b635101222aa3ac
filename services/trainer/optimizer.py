"""AdamW with warm-up and schedule; the learning rate is a function of the step alone, so a checkpoint needs no more."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from schemas.recipe import Recipe

FLOOR = 0.05
"""Share of the peak rate at which linear and cosine schedules end."""

CLIP = 1.0
"""Largest norm of the gradient; a larger one is clipped."""

BETAS = (0.9, 0.98)
"""Decay of AdamW's moments; the second is shorter than usual, since jobs have hundreds of steps."""


def rate(recipe: Recipe, step: int) -> float:
    """Learning rate of a step, counted from 0. The first step's is above 0; the peak follows the warm-up."""
    warmup = round(recipe.warmup * recipe.steps)
    if step < warmup:
        return recipe.lr * (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, recipe.steps - warmup)
    factors = {
        "constant": 1.0,
        "linear": 1 - (1 - FLOOR) * progress,
        "cosine": FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * progress)) / 2,
    }
    return recipe.lr * factors[recipe.schedule]


def adamw(weights: Iterable[torch.nn.Parameter], recipe: Recipe) -> torch.optim.AdamW:
    """The optimizer; `update` sets its rate. Fused: one kernel for the adapter's many small tensors."""
    return torch.optim.AdamW(weights, lr=recipe.lr, betas=BETAS, weight_decay=recipe.weight_decay, fused=True)


def update(optimizer: torch.optim.AdamW, recipe: Recipe, step: int) -> float:
    """Clip the gradients and take one step; the gradients' norm before."""
    group = optimizer.param_groups[0]
    group["lr"] = rate(recipe, step)
    norm = torch.nn.utils.clip_grad_norm_(group["params"], CLIP)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
