"""What a search draws from: a pool of recipes around the standing one, and draws of what a recipe may be worth."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np

from judgement.basis import DIGITS
from judgement.history import History
from judgement.search.prior import effect_sd
from judgement.search.space import Floats
from judgement.search.unseen import unseen_draws
from schemas.policy import AxisBelief, Estimate, Policy
from schemas.recipe import Recipe, Value

DESIGN_POOL = 512
"""Recipes that the first round is designed from: there the prior decides alone, so it should see them all."""

DRAWS = 64
"""Posterior draws behind a share or a predicted gain; a share is then known to about 6 points."""


class Model(Protocol):
    """What the search needs to know about the target; every score is an accuracy in [0, 1]."""

    def predict(self, recipe: Recipe) -> Estimate:
        """Target of a recipe, trained or not."""

    def predict_trial(self, candidate: str) -> Estimate:
        """Target of a trained candidate, by its own scores."""

    def samples(self, recipes: Sequence[Recipe], rng: np.random.Generator, draws: int) -> Floats:
        """Joint posterior draws of the target, shape (draws, recipes)."""

    def gain(self, candidate: str, over: str) -> tuple[Estimate, float]:
        """Target of one candidate minus another's, and the probability that it is above zero."""

    def disagreement(self, candidate: str) -> float:
        """Standard deviation, over the drift hypotheses, of the candidate's expected target."""


def pool(
    policy: Policy, max_changes: int, tried: Collection[Recipe], rng: np.random.Generator, size: int
) -> list[Recipe]:
    """Up to `size` draws of recipes with 1 to `max_changes` changes, without doubles and without those tried."""
    weights = np.array([_weight(axis, policy.standing) for axis in policy.axes])
    open_axes = int((weights > 0).sum())
    if not open_axes:
        return []
    weights /= weights.sum()
    found: dict[tuple[Value, ...], Recipe] = {}
    known = {_key(recipe, policy.axes) for recipe in tried}
    for _ in range(size):
        count = int(rng.integers(1, min(max_changes, open_axes) + 1))
        axes = rng.choice(len(weights), count, replace=False, p=weights)
        recipe = policy.standing
        for axis in sorted(axes):
            recipe = _move(recipe, policy.axes[axis], rng)
        if (key := _key(recipe, policy.axes)) not in known:
            found.setdefault(key, recipe)
    return list(found.values())


def _key(recipe: Recipe, axes: Sequence[AxisBelief]) -> tuple[Value, ...]:
    return tuple(recipe.get(axis.knob) for axis in axes)


def drawn_pool(history: History, policy: Policy, rng: np.random.Generator, size: int, most: int) -> list[Recipe]:
    """Untried recipes within `most` changes of the standing one."""
    tried = [t.recipe for t in history.trials.values() if t.recipe]
    return pool(policy, most, tried, rng, size)


def _move(recipe: Recipe, axis: AxisBelief, rng: np.random.Generator) -> Recipe:
    """The recipe with another value of one axis, drawn from its learned distribution."""
    mass = _elsewhere(axis, recipe)
    return recipe.replace(axis.knob, axis.values[rng.choice(len(mass), p=mass / mass.sum())])


def _elsewhere(axis: AxisBelief, standing: Recipe) -> Floats:
    """Probability of each value, without the one that the standing recipe already holds."""
    held = standing.get(axis.knob)
    return np.array([0.0 if v == held else p for v, p in zip(axis.values, axis.probabilities, strict=True)])


def _weight(axis: AxisBelief, standing: Recipe) -> float:
    """How often an axis is varied: as much as it is believed to be better elsewhere, times what it may move."""
    return 0.0 if axis.retired else float(_elsewhere(axis, standing).sum()) * effect_sd(axis.knob)


def imagined(
    history: History, model: Model, recipes: Sequence[Recipe], rng: np.random.Generator, draws: int = DRAWS
) -> Floats:
    """Joint draws of what the target may be: the model's and the part that dev cannot show, shape (draws, recipes)."""
    return np.round(model.samples(recipes, rng, draws) + unseen_draws(history, recipes, rng, draws), DIGITS)


def gains(model: Model, standing: Recipe, recipes: Sequence[Recipe], rng: np.random.Generator) -> list[Estimate]:
    """Expected gain of the target over the standing recipe, for each recipe, by the model."""
    drawn = model.samples([standing, *recipes], rng, DRAWS)
    over = drawn[:, 1:] - drawn[:, :1]
    return [Estimate(mean=round(float(g.mean()), DIGITS), sd=round(float(g.std()), DIGITS)) for g in over.T]
