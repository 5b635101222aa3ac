"""The interface of a search policy: three choices and two beliefs. The loop calls nothing else.

Every method is a pure function of the history and the generator, because the campaign's replay depends on it. A policy
never reads the clock, keeps no state, and reads scores through the history alone.
`judgement.search.registry` names the policies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from judgement.basis import DIGITS
from judgement.history import History
from judgement.search.space import Floats
from schemas.evidence import Submission
from schemas.policy import Estimate
from schemas.recipe import Recipe

Proposal = tuple[Recipe, Estimate]
"""A recipe, and its expected gain of the target over the standing recipe."""

Chosen = tuple[tuple[Submission, ...], tuple[Submission, ...]]
"""The candidates to measure again on fresh items, and those to query the target for."""

DRAWS = 64
"""Posterior draws behind a share or a predicted gain; a share is then known to about 6 points."""


class Model(Protocol):
    """A belief about the target; every score is an accuracy in [0, 1]."""

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


class SearchPolicy(Protocol):
    """How a campaign searches; `history.round` is the round that the latest `PolicyUpdated` opened."""

    def propose(self, history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
        """Recipes for the round's slots besides the anchor's, at most `slots` of them."""

    def choose_submissions(self, history: History, round_: int) -> Chosen:
        """What the round's candidates are measured on, within the budgets of the constitution."""

    def final(self, history: History) -> tuple[str, Estimate]:
        """The candidate that the campaign ends with, or `base`, and its expected target."""

    def model(self, history: History) -> Model:
        """The belief behind proposals and the final choice."""

    def bound(self, history: History) -> Model:
        """The same, bound by the standing drifts: for submissions, promotions, learned distributions and dead ends."""


def gains(model: Model, standing: Recipe, recipes: Sequence[Recipe], rng: np.random.Generator) -> list[Estimate]:
    """Expected gain of the target over the standing recipe, for each recipe, by the model."""
    samples = model.samples([standing, *recipes], rng, DRAWS)
    over = samples[:, 1:] - samples[:, :1]
    return [Estimate(mean=round(float(g.mean()), DIGITS), sd=round(float(g.std()), DIGITS)) for g in over.T]
