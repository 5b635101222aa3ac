"""What a search policy is: three choices and a belief. The loop calls no more of it than this.

Every method is a pure function of the history and the generator: the campaign's replay depends on it. A policy decides
nothing by measured time, keeps no state of its own, and reads scores through the history alone.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from judgement.history import History
from judgement.search.pool import Model
from schemas.evidence import Submission
from schemas.policy import Estimate
from schemas.recipe import Recipe

Proposal = tuple[Recipe, Estimate]
"""A recipe, and the gain of the target over the standing recipe that is expected of it."""

Chosen = tuple[tuple[Submission, ...], tuple[Submission, ...]]
"""Whom to measure again on fresh items, and whom to ask the target about."""


class SearchPolicy(Protocol):
    """How a campaign searches; `history.round` is the round that the latest `PolicyUpdated` opened."""

    def propose(self, history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
        """Recipes for the round's slots besides the anchor's, at most `slots` of them."""

    def choose_submissions(self, history: History, round_: int) -> Chosen:
        """What the round's candidates are measured on, within the budgets of the constitution."""

    def final(self, history: History) -> tuple[str, Estimate]:
        """The candidate that the campaign ends with, or `base`, and its expected target."""

    def model(self, history: History) -> Model:
        """What the policy believes of the target: proposals and the final choice rest on it."""

    def bound(self, history: History) -> Model:
        """The same, bound by the drifts that stand: submissions, promotions, learned distributions and dead ends."""
