"""The prior over recipes: which knobs can move the target, what to try first, and what dev cannot show.

The effect of a recipe against the standing one is a Gaussian field over its changes: one term per knob, one per pair
of knobs. Round 1 takes the recipes that tell most about that field (greedy D-optimal design: each next recipe has the
largest variance given those before it). It therefore covers the strong axes before the fine ones, combines changes
where the constitution allows several, and never repeats a question.

Later rounds use the same field for the part of the target that dev cannot show. A model of the target by dev is certain
of a recipe as soon as its dev is known or can be inferred from others, so the search adds a draw of this field,
conditioned on the recipes whose target has been measured. That sends the search to data and length before fine knobs,
and fades where target scores lie.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from judgement.basis import DIGITS
from judgement.history import History
from judgement.search.space import Floats
from schemas.campaign import Axis
from schemas.policy import Estimate
from schemas.recipe import Recipe, Value

DATA_KNOBS = ("traces", "difficulty", "wordings", "mix", "upsample")
"""Knobs of the training data. Published post-training runs moved most by data construction: one domain upsampled
twofold was the largest single finding of arXiv 2606.20657, and worked traces decide what carries over to new items."""

EXTENT_KNOBS = ("steps", "lr", "batch", "curriculum", "checkpoint")
"""Knobs of how far the model is trained. The rest, such as rank and decay, was within seed noise over wide ranges."""

INTERACTION = 0.5
"""Variance of a pair's joint effect, as a share of the product of its two standard deviations."""

NOISE = 0.02
"""Standard deviation of one candidate's measured effect: seed noise and a few hundred items, in accuracy."""


def effect_sd(knob: str) -> float:
    """Prior standard deviation of a knob's largest effect on the target, in accuracy."""
    head, _, domain = knob.partition(".")
    if domain:
        return 0.03  # a knob of one domain moves one part of the average
    return 0.06 if head in DATA_KNOBS else 0.03 if head in EXTENT_KNOBS else 0.01


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
    main_effects = np.sum(kernels, axis=0)
    # sum over pairs of k_a k_b / (s_a s_b), by the square of the sum
    scaled = [k / effect_sd(axis.knob) for axis, k in zip(space, kernels, strict=True)]
    pairs = (np.sum(scaled, axis=0) ** 2 - np.sum(np.square(scaled), axis=0)) / 2
    return np.asarray(main_effects + INTERACTION * pairs)


def _kernel(axis: Axis, standing: Recipe, recipes: Sequence[Recipe]) -> Floats:
    """Covariance of one knob's effect in units of its prior variance: that of a random walk from the standing value."""
    row_values = [recipe.get(axis.knob) for recipe in recipes]
    values = list(dict.fromkeys(row_values))
    index = [values.index(value) for value in row_values]
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
    rest = covariance(space, standing, recipes)
    chosen: list[int] = []
    for _ in range(min(slots, len(recipes))):
        variance = np.round(np.diag(rest), DIGITS * 2)
        variance[chosen] = -1.0
        best = int(np.argmax(variance))
        chosen.append(best)
        rest = _conditioned(rest, best)
    return [recipes[i] for i in chosen]


def _conditioned(covariance: Floats, index: int) -> Floats:
    """The covariance after one of the recipes has been measured."""
    column = covariance[:, index]
    return np.asarray(covariance - np.outer(column, column) / (column[index] + NOISE**2))


JITTER = 1e-8
"""Added to variances, so that the covariance of equal recipes has a Cholesky root too: a hundredth of a point."""


def unseen(history: History, recipes: Sequence[Recipe], queried: Sequence[Recipe] = ()) -> Floats:
    """Covariance of the recipes' unseen parts, (P, P), given all target scores and those of the `queried` recipes."""
    measured = [t.recipe for t in history.measured("external") if t.recipe]
    observed, campaign = [*measured, *queried], history.campaign
    whole = covariance(campaign.constitution.space, campaign.recipe, [*observed, *recipes])
    n = len(observed)
    precision = np.linalg.inv(whole[:n, :n] + NOISE**2 * np.eye(n))
    return np.asarray(whole[n:, n:] - whole[n:, :n] @ precision @ whole[:n, n:])


def unseen_sds(history: History, recipes: Sequence[Recipe], queried: Sequence[Recipe] = ()) -> list[float]:
    """Standard deviation of each recipe's unseen part, in accuracy."""
    variance = np.diag(unseen(history, recipes, queried))
    return [round(float(sd), DIGITS) for sd in np.sqrt(np.maximum(variance, 0.0))]


def unseen_draws(history: History, recipes: Sequence[Recipe], rng: np.random.Generator, draws: int) -> Floats:
    """Joint draws of the unseen parts, (draws, P).

    The root is Cholesky's because it is unique: eigenvectors of equal eigenvalues differ from processor to processor,
    and a draw that differs makes a decision that cannot be replayed.
    """
    root = np.linalg.cholesky(unseen(history, recipes) + JITTER * np.eye(len(recipes)))
    return np.asarray(rng.standard_normal((draws, len(recipes))) @ root.T)
