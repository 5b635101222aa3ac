"""This project's search policy: Thompson sampling from the average of the drift hypotheses, gated by standing drifts.

Round 1 is a design by the prior alone. In later rounds every slot draws one possible target as a function of the whole
recipe and takes its best, so a recipe is tried as often as it may be the best, and the drift hypotheses steer the
search as far as they are believed (Thompson 1933; Russo et al. 2018, arXiv 1707.02038). Submissions and the final
choice go by posterior means, never by a raw score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judgement.cost import price
from judgement.history import History
from judgement.search import DESIGN_POOL, Model, drawn_pool, gains
from judgement.search_climb import climb
from judgement.search_policy import Chosen, Proposal
from judgement.search_prior import design, prior_gains
from judgement.search_promote import winner
from judgement.search_submit import choose
from judgement.search_warm import DESIGN_DRAWS
from judgement.surface import terms
from judgement.surface_target import Targets
from judgement.trust import TrustModel
from schemas.policy import Estimate, Policy
from schemas.recipe import Recipe

FIRST_CHANGES = 2
"""Changes of a candidate of round 1, at most: a recipe in which everything is moved blindly is mostly a bad one, and
says little about any of its changes."""

PATIENCE = 4
"""Draws for each slot, before it is left empty because every one led to a recipe that was tried."""


@dataclass(frozen=True)
class Trust:
    """The policy named `trust` in a constitution."""

    fit: Callable[[History], Model] = TrustModel.fit
    """What is believed of the target, from everything measured."""

    def propose(self, history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
        """Round 1: what tells most about the space. Later: what may be the best."""
        policy = history.policies[history.round]
        if policy.round == 1:
            return _designed(history, policy, slots, rng)
        model = TrustModel.fit(history)
        recipes = imagined_best(history, model, policy, slots, rng)
        return list(zip(recipes, gains(model, policy.standing, recipes, rng), strict=True))

    def choose_submissions(self, history: History, round_: int) -> Chosen:
        """One place for the best, one for the audit of dev."""
        return choose(history, self.model(history), round_)

    def final(self, history: History) -> tuple[str, Estimate]:
        """The highest posterior mean of the target."""
        return winner(history, self.model(history))

    def model(self, history: History) -> Model:
        """The drift hypotheses, averaged and gated."""
        return self.fit(history)


def _designed(history: History, policy: Policy, slots: int, rng: np.random.Generator) -> list[Proposal]:
    """By the prior alone: the base may not even be measured yet."""
    space = history.campaign.constitution.space
    size = DESIGN_DRAWS * slots if history.campaign.warm else DESIGN_POOL
    few = min(FIRST_CHANGES, history.campaign.constitution.max_changes)
    recipes = design(space, policy.standing, drawn_pool(history, policy, rng, size, few), slots)
    return list(zip(recipes, prior_gains(space, policy.standing, recipes), strict=True))


def imagined_best(
    history: History, model: TrustModel, policy: Policy, slots: int, rng: np.random.Generator
) -> list[Recipe]:
    """For each slot the best recipe of one possible target; none twice, and none that was tried."""
    law, table = history.campaign.constitution, terms(history.campaign.constitution.space)
    targets = Targets(model.posterior, table)
    cost = (lambda recipe: float(price(history, [recipe])[0])) if law.price else None
    known = [t.recipe for t in history.trials.values() if t.recipe]
    found: list[Recipe] = []
    for _ in range(PATIENCE * slots):
        if len(found) == slots:
            break
        best = climb(targets.draw(rng), table, policy.standing, _open(policy), law.max_changes, cost)
        if best not in found and best not in known:
            found.append(best)
    return found


def _open(policy: Policy) -> NDArray[np.bool_]:
    """The values that a slot may take, (V,): all but dead ends and those of retired axes."""
    return np.array([p > 0 and not axis.retired for axis in policy.axes for p in axis.probabilities])
