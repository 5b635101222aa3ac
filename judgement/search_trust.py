"""This project's search policy: Thompson sampling from the average of the drift hypotheses, gated by standing drifts.

Round 1 is a design by the prior alone; later rounds draw from what is believed of the target. Submissions and the final
choice go by posterior means, never by a raw score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from judgement.history import History
from judgement.search import DESIGN_POOL, POOL, Model, drawn_pool, gains, thompson
from judgement.search_policy import Chosen, Proposal
from judgement.search_prior import design, prior_gains
from judgement.search_promote import winner
from judgement.search_submit import choose
from judgement.search_warm import DESIGN_DRAWS
from judgement.trust import TrustModel
from schemas.policy import Estimate, Policy


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
        model, drawn = self.model(history), drawn_pool(history, policy, rng, POOL)
        recipes = thompson(history, model, drawn, slots, rng)
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
    recipes = design(space, policy.standing, drawn_pool(history, policy, rng, size), slots)
    return list(zip(recipes, prior_gains(space, policy.standing, recipes), strict=True))
