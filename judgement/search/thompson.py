"""How both searching policies fill a round: a design by the prior, then the best of one possible target for each slot.

A recipe is tried as often as it may be the best, so whatever the draws believe steers the search as far as it is
believed (Thompson 1933; Russo et al. 2018, arXiv 1707.02038).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from judgement.cost import price
from judgement.history import History
from judgement.search.climb import climb
from judgement.search.policy import Proposal
from judgement.search.pool import DESIGN_POOL, drawn_pool
from judgement.search.prior import design, prior_gains
from judgement.search.surface import terms
from judgement.search.surface_target import Target
from judgement.search.warm_start import DESIGN_DRAWS
from schemas.policy import Policy
from schemas.recipe import Recipe

FIRST_CHANGES = 2
"""Changes of a candidate of round 1, at most: a recipe in which everything is moved blindly is mostly a bad one, and
says little about any of its changes."""

WARM, COOL = 0.7, 0.3
"""Share of the posterior spread of dev that a draw has in round 2 and in the last one. A campaign of a few rounds
cannot afford to try all that may be best, and in its last rounds it only wants the best: these lost least in
simulated campaigns (`docs/reference/benchmarks/search.md`)."""

PATIENCE = 4
"""Draws for each slot at the round's temperature, and as many at the whole spread, before a slot is left empty because
every one led to a recipe that was tried."""


def designed(history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
    """Round 1: what tells most about the space, by the prior alone; the base may not even be measured yet."""
    law, policy = history.campaign.constitution, history.policies[history.round]
    size = DESIGN_DRAWS * slots if history.campaign.warm else DESIGN_POOL
    drawn = drawn_pool(history, policy, rng, size, min(FIRST_CHANGES, law.max_changes))
    recipes = design(law.space, policy.standing, drawn, slots)
    return list(zip(recipes, prior_gains(law.space, policy.standing, recipes), strict=True))


def imagined_best(
    history: History, draw: Callable[[np.random.Generator, float], Target], slots: int, rng: np.random.Generator
) -> list[Recipe]:
    """Later rounds: for each slot the best recipe of one drawn target; none twice, and none that was tried."""
    law, policy = history.campaign.constitution, history.policies[history.round]
    table, cost = terms(law.space), (lambda recipe: float(price(history, [recipe])[0])) if law.price else None
    warmths = [temperature(policy.round, law.rounds), 1.0]
    known = [t.recipe for t in history.trials.values() if t.recipe]
    found: list[Recipe] = []
    for warmth in np.repeat(warmths, PATIENCE * slots):
        if len(found) == slots:
            break
        best = climb(draw(rng, warmth), table, policy.standing, _open(policy), law.max_changes, cost)
        if best not in found and best not in known:
            found.append(best)
    return found


def temperature(round_: int, rounds: int) -> float:
    """Falls evenly from `WARM` in round 2 to `COOL` in the last."""
    return WARM + (COOL - WARM) * (round_ - 2) / max(1, rounds - 2)


def _open(policy: Policy) -> NDArray[np.bool_]:
    """The values that a slot may take, (V,): all but dead ends and those of retired axes."""
    return np.array([p > 0 and not axis.retired for axis in policy.axes for p in axis.probabilities])
