"""How both searching policies fill a round: round 1 by design, later rounds by Thompson sampling.

Round 1 takes the most informative recipes of a random pool (`judgement.search.prior`). Later, each slot gets the best
recipe of one drawn target, found by coordinate ascent from the standing recipe. A recipe is tried as often as it may be
the best, so a belief steers the search in proportion to its probability (Thompson 1933; Russo et al. 2018, arXiv
1707.02038).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from judgement.basis import DIGITS
from judgement.cost import price
from judgement.history import History
from judgement.search.policy import Proposal
from judgement.search.prior import design, effect_sd, prior_gains
from judgement.search.space import Floats
from judgement.search.surface import Codes, Terms, terms
from judgement.search.surface_target import Target
from schemas.policy import AxisBelief, Policy
from schemas.recipe import Recipe, Value

DESIGN_POOL = 512
"""Recipes that round 1 is designed from: the prior decides alone there, so it should see about all of them."""

WARM_POOL = 4
"""The same for each slot of a campaign with a warm start: there the draw itself, by the learned distributions, is the
prior, and a larger pool would cancel it."""

FIRST_CHANGES = 2
"""Changes of a candidate of round 1, at most: a recipe in which everything is moved blindly is mostly a bad one, and
says little about any of its changes."""

WARM, COOL = 0.7, 0.3
"""Share of the posterior spread of dev that a draw has in round 2 and in the last one. A campaign of a few rounds
cannot afford to try all that may be best, and in its last rounds it only wants the best: these lost least in
simulated campaigns (`docs/reference/benchmarks/search.md`)."""

DRAWS_PER_SLOT = 4
"""Draws for each slot at the round's temperature, and as many at the whole spread, before a slot is left empty because
every one led to a recipe that was tried."""

Price = Callable[[Recipe], float]
"""The gain, in accuracy, that the constitution demands for a recipe's cost."""


def first_round(history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
    """Round 1: the most informative recipes by the prior alone; the base may not even be measured yet."""
    law, policy = history.campaign.constitution, history.policies[history.round]
    size = WARM_POOL * slots if history.campaign.warm else DESIGN_POOL
    tried = [t.recipe for t in history.trials.values() if t.recipe]
    recipes = pool(policy, min(FIRST_CHANGES, law.max_changes), tried, rng, size)
    chosen = design(law.space, policy.standing, recipes, slots)
    return list(zip(chosen, prior_gains(law.space, policy.standing, chosen), strict=True))


def pool(
    policy: Policy, max_changes: int, tried: Collection[Recipe], rng: np.random.Generator, size: int
) -> list[Recipe]:
    """Up to `size` draws of recipes with 1 to `max_changes` changes, without duplicates and without those tried.

    An axis is varied in proportion to the belief that another value is better, times the effect it may have.
    """
    weights = np.array([_weight(axis, policy.standing) for axis in policy.axes])
    open_axes = int((weights > 0).sum())
    if not open_axes:
        return []
    weights /= weights.sum()
    recipes: dict[tuple[Value, ...], Recipe] = {}
    excluded = {_values(recipe, policy.axes) for recipe in tried}
    for _ in range(size):
        count = int(rng.integers(1, min(max_changes, open_axes) + 1))
        axes = rng.choice(len(weights), count, replace=False, p=weights)
        recipe = policy.standing
        for axis in sorted(axes):
            recipe = _redrawn(recipe, policy.axes[axis], rng)
        if (key := _values(recipe, policy.axes)) not in excluded:
            recipes.setdefault(key, recipe)
    return list(recipes.values())


def _values(recipe: Recipe, axes: Sequence[AxisBelief]) -> tuple[Value, ...]:
    return tuple(recipe.get(axis.knob) for axis in axes)


def _redrawn(recipe: Recipe, axis: AxisBelief, rng: np.random.Generator) -> Recipe:
    """The recipe with another value of one axis, drawn from its learned distribution."""
    mass = _other_values(axis, recipe)
    return recipe.replace(axis.knob, axis.values[rng.choice(len(mass), p=mass / mass.sum())])


def _other_values(axis: AxisBelief, recipe: Recipe) -> Floats:
    """Probability of each value; 0 for the value that the recipe has."""
    current = recipe.get(axis.knob)
    return np.array([0.0 if v == current else p for v, p in zip(axis.values, axis.probabilities, strict=True)])


def _weight(axis: AxisBelief, standing: Recipe) -> float:
    return 0.0 if axis.retired else float(_other_values(axis, standing).sum()) * effect_sd(axis.knob)


def later_round(
    history: History, draw: Callable[[np.random.Generator, float], Target], slots: int, rng: np.random.Generator
) -> list[Recipe]:
    """Rounds after the first: for each slot the best recipe of one drawn target; no duplicates, none tried before."""
    law, policy = history.campaign.constitution, history.policies[history.round]
    table = terms(law.space)
    cost: Price | None = (lambda recipe: float(price(history, [recipe])[0])) if law.price else None
    open_values = np.array([p > 0 and not axis.retired for axis in policy.axes for p in axis.probabilities])
    tried = [t.recipe for t in history.trials.values() if t.recipe]
    recipes: list[Recipe] = []
    for spread in np.repeat([temperature(policy.round, law.rounds), 1.0], DRAWS_PER_SLOT * slots):
        if len(recipes) == slots:
            break
        best = climb(draw(rng, spread), table, policy.standing, open_values, law.max_changes, cost)
        if best not in recipes and best not in tried:
            recipes.append(best)
    return recipes


def temperature(round_: int, rounds: int) -> float:
    """Falls evenly from `WARM` in round 2 to `COOL` in the last."""
    return WARM + (COOL - WARM) * (round_ - 2) / max(1, rounds - 2)


def climb(
    target: Target,
    terms: Terms,
    standing: Recipe,
    open_values: NDArray[np.bool_],
    max_changes: int,
    price: Price | None = None,
) -> Recipe:
    """Coordinate ascent: the recipe that no further change improves, within `max_changes` of the standing one.

    `open_values` (V,) says which values may be taken; the standing recipe's own may always be.
    """
    recipe, home = standing, terms.code(standing)
    while True:
        z, q = terms.point(recipe)
        now, after = target.at(z, q), target.moves(z, q)
        if price:
            now -= price(recipe)
            after = after - np.array([price(with_value(terms, recipe, value)) for value in range(len(terms.axis))])
        allowed = _allowed_moves(terms, home, terms.code(recipe), open_values, max_changes)
        best = int(np.argmax(np.where(allowed, np.round(after, DIGITS), -np.inf)))
        # A move must gain more than a rounding step, else two equal recipes would alternate for ever.
        if not allowed.any() or after[best] <= now + 10.0**-DIGITS:
            return _changes_only(standing, recipe, terms)
        recipe = with_value(terms, recipe, best)


def _changes_only(standing: Recipe, recipe: Recipe, terms: Terms) -> Recipe:
    """The standing recipe with its changes and nothing else: a move back may have left a default spelt out."""
    for axis in terms.space:
        if (value := recipe.get(axis.knob)) != standing.get(axis.knob):
            standing = standing.replace(axis.knob, value)
    return standing


def with_value(terms: Terms, recipe: Recipe, value: int) -> Recipe:
    """The recipe with one value of the table, given by its index."""
    axis = terms.space[terms.axis[value]]
    return recipe.replace(axis.knob, axis.values[value - terms.start[terms.axis[value]]])


def _allowed_moves(
    terms: Terms, home: Codes, current: Codes, open_values: NDArray[np.bool_], max_changes: int
) -> NDArray[np.bool_]:
    """The moves that stay within the allowed changes, (V,): a new change needs room, a move back makes room."""
    places = np.arange(len(terms.axis)) - terms.start[terms.axis]
    back = places == home[terms.axis]
    changed = (current != home)[terms.axis]
    room = (current != home).sum() < max_changes
    return np.asarray((open_values | back) & (places != current[terms.axis]) & (changed | (room & ~back)))
