"""What is believed before anything was tried: which knobs can move the target at all, and what to try first.

The effect of a recipe against the standing one is a Gaussian field over its changes: one term per knob, one per pair
of knobs. The first round takes the recipes that tell most about that field (greedy D-optimal design: each next one
has the largest variance given those before it), so it covers the strong axes before the fine ones, together before
alone where the constitution allows several changes, and never asks the same thing twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from judgement.basis import DIGITS
from judgement.search.space import Floats
from schemas.campaign import Axis
from schemas.policy import Estimate
from schemas.recipe import Recipe, Value

DATA = ("traces", "difficulty", "wordings", "mix", "upsample")
"""What the model learns from. Published post-training runs moved most by data construction: one domain upsampled
twofold was the largest single finding of arXiv 2606.20657, and worked traces decide what carries over to new items."""

EXTENT = ("steps", "lr", "batch", "curriculum", "checkpoint")
"""How far the model goes with it. The rest, such as rank and decay, was within seed noise over wide ranges."""

INTERACTION = 0.5
"""Variance of a pair's joint effect, as a share of the product of its two standard deviations."""

NOISE = 0.02
"""Standard deviation of one candidate's measured effect: seed noise and a few hundred items, in accuracy."""


def effect_sd(knob: str) -> float:
    """Prior standard deviation of a knob's largest effect on the target, in accuracy."""
    head, _, domain = knob.partition(".")
    if domain:
        return 0.03  # a knob of one domain moves one part of the average
    return 0.06 if head in DATA else 0.03 if head in EXTENT else 0.01


def distance(axis: Axis, a: Value, b: Value) -> float:
    """How far two values of an axis lie apart, in [0, 1]; 1 from one end of a scale to the other."""
    if isinstance(a, tuple) and isinstance(b, tuple) and not isinstance(a[0], str):
        return float(np.abs(_normalised(a) - _normalised(b)).sum() / 2)
    if axis.scale == "choice":
        return float(a != b)
    ends = [_position(axis, value) for value in (axis.values[0], axis.values[-1])]
    return min(1.0, abs(_position(axis, a) - _position(axis, b)) / abs(ends[1] - ends[0]))


def _normalised(weights: tuple[float, ...] | tuple[str, ...]) -> Floats:
    parts = np.array(weights, dtype=float)
    return np.asarray(parts / parts.sum())


def _position(axis: Axis, value: Value) -> float:
    number = float(value)  # type: ignore[arg-type]  # a linear or log axis holds numbers
    return float(np.log(number)) if axis.scale == "log" else number


def covariance(space: Sequence[Axis], standing: Recipe, recipes: Sequence[Recipe]) -> Floats:
    """Prior covariance of the recipes' effects against the standing recipe, shape (recipes, recipes)."""
    kernels = [effect_sd(axis.knob) ** 2 * _kernel(axis, standing, recipes) for axis in space]
    alone = np.sum(kernels, axis=0)
    # sum over pairs of k_a k_b / (s_a s_b), by the square of the sum
    scaled = [k / effect_sd(axis.knob) for axis, k in zip(space, kernels, strict=True)]
    pairs = (np.sum(scaled, axis=0) ** 2 - np.sum(np.square(scaled), axis=0)) / 2
    return np.asarray(alone + INTERACTION * pairs)


def _kernel(axis: Axis, standing: Recipe, recipes: Sequence[Recipe]) -> Floats:
    """Covariance of one knob's effect in units of its prior variance: that of a random walk from the standing value."""
    held = [recipe.get(axis.knob) for recipe in recipes]
    values = list(dict.fromkeys(held))
    index = [values.index(value) for value in held]
    apart = np.array([[distance(axis, a, b) for b in values] for a in values])
    away = np.array([distance(axis, standing.get(axis.knob), a) for a in values])
    kernel = (away[:, None] + away[None, :] - apart) / 2
    return np.asarray(kernel[np.ix_(index, index)])


def prior_gains(space: Sequence[Axis], standing: Recipe, recipes: Sequence[Recipe]) -> list[Estimate]:
    """Gain of the target over the standing recipe before anything was measured: none expected, spread by the prior."""
    variance = np.diag(covariance(space, standing, recipes))
    return [Estimate(mean=0.0, sd=round(float(np.sqrt(v)), DIGITS)) for v in variance]


def design(space: Sequence[Axis], standing: Recipe, recipes: Sequence[Recipe], slots: int) -> list[Recipe]:
    """The most informative recipes, in order; equal ones in the order given."""
    left = covariance(space, standing, recipes)
    chosen: list[int] = []
    for _ in range(min(slots, len(recipes))):
        variance = np.round(np.diag(left), DIGITS * 2)
        variance[chosen] = -1.0
        best = int(np.argmax(variance))
        chosen.append(best)
        left = _given(left, best)
    return [recipes[i] for i in chosen]


def _given(left: Floats, index: int) -> Floats:
    """The covariance after one of the recipes has been measured."""
    column = left[:, index]
    return np.asarray(left - np.outer(column, column) / (column[index] + NOISE**2))
