"""This project's search policy: Thompson sampling from the average of the drift hypotheses.

What a round tries and what the campaign ends with go by that average. What a standing drift binds is who is believed on
the way: promotions and submissions. To forget dev of a drifting domain in the proposals too costs more than it saves,
since dev is mostly wrong about some recipes and not about all (`docs/reference/benchmarks/search.md`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from judgement.history import History
from judgement.search.policy import Chosen, Proposal
from judgement.search.pool import Model, gains
from judgement.search.promote import winner
from judgement.search.submit import choose
from judgement.search.surface import terms
from judgement.search.surface_target import Targets
from judgement.search.thompson import designed, imagined_best
from judgement.search.trust_model import TrustModel
from schemas.policy import Estimate


@dataclass(frozen=True)
class Trust:
    """The policy named `trust` in a constitution."""

    fit: Callable[[History], Model] = TrustModel.fit
    """What is believed of the target, from everything measured."""
    bind: Callable[[History], Model] = TrustModel.bound
    """The same where standing drifts bind."""

    def propose(self, history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
        """Round 1: what tells most about the space. Later: what may be the best."""
        if history.round == 1:
            return designed(history, slots, rng)
        model = TrustModel.fit(history)
        targets = Targets(model.posterior, terms(history.campaign.constitution.space))
        recipes = imagined_best(history, targets.draw, slots, rng)
        return list(zip(recipes, gains(model, history.policies[history.round].standing, recipes, rng), strict=True))

    def choose_submissions(self, history: History, round_: int) -> Chosen:
        """One place for the best, one for the audit of dev."""
        return choose(history, self.bound(history), round_)

    def final(self, history: History) -> tuple[str, Estimate]:
        """The highest posterior mean of the target."""
        return winner(history, self.model(history))

    def model(self, history: History) -> Model:
        """The drift hypotheses, averaged."""
        return self.fit(history)

    def bound(self, history: History) -> Model:
        """The same, gated by standing drifts."""
        return self.bind(history)
