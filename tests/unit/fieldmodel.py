"""A second implementation of `judgement.search.policy.Model` in a few lines: one Gaussian field over recipes.

The search must work with any model that implements the protocol; this one has no drift hypotheses. Dev is a weak
observation of the target, cut at the level of a standing drift.
"""

from __future__ import annotations

from unittest.mock import patch

import numpy as np

from judgement.history import History
from judgement.search import registry
from judgement.search.prior import covariance
from judgement.search.trust import Trust
from judgement.trial import Trial
from schemas.policy import Estimate
from schemas.recipe import Recipe

SLOPE, DEV_SD, RUN_SD, MISSING_SD = 0.3, 0.06, 0.015, 10.0


class FieldModel:
    def __init__(self, history: History) -> None:
        self.history = history
        self.start = history.base.scores["external"].score
        self.trials = [t for t in history.measured("dev") if t.recipe]
        seen = [self._observed(t) for t in self.trials]
        self.y, self.variance = np.array([s[0] for s in seen]), np.array([s[1] for s in seen])

    def _observed(self, trial: Trial) -> tuple[float, float]:
        if "external" in trial.scores:
            return trial.scores["external"].score - self.start, trial.scores["external"].se ** 2 + RUN_SD**2
        levels = [d.assessment.level for d in self.history.standing_drifts.values()]
        rise = trial.scores["dev"].score - self.history.base.scores["dev"].score
        return SLOPE * min([rise, *levels]), DEV_SD**2

    def _posterior(self, recipes):
        known = [t.recipe for t in self.trials]
        both = [*known, *recipes]
        space = self.history.campaign.constitution.space
        k = covariance(space, self.history.campaign.recipe, both) + 0.03**2
        n = len(known)
        solved = np.linalg.solve(k[:n, :n] + np.diag(self.variance), k[:n, n:])
        return self.start + solved.T @ self.y, k[n:, n:] - k[n:, :n] @ solved

    def predict(self, recipe: Recipe) -> Estimate:
        mean, cov = self._posterior([recipe])
        return Estimate(mean=float(mean[0]), sd=float(np.sqrt(max(cov[0, 0], 0.0))))

    def predict_trial(self, candidate: str) -> Estimate:
        recipe = self.history.trials[candidate].recipe
        if recipe is None:
            return Estimate(mean=self.start, sd=self.history.base.scores["external"].se)
        return self.predict(recipe)

    def samples(self, recipes, rng, draws):
        mean, cov = self._posterior(recipes)
        values, vectors = np.linalg.eigh(cov)
        return mean + rng.standard_normal((draws, len(mean))) * np.sqrt(np.clip(values, 0, None)) @ vectors.T

    def gain(self, candidate: str, over: str) -> tuple[Estimate, float]:
        from math import erf, sqrt

        a, b = self.predict_trial(candidate), self.predict_trial(over)
        sd = sqrt(a.sd**2 + b.sd**2)
        return Estimate(mean=a.mean - b.mean, sd=sd), (1 + erf((a.mean - b.mean) / sd / sqrt(2))) / 2

    def disagreement(self, candidate: str) -> float:
        return self.predict_trial(candidate).sd


class FieldPolicy(Trust):
    """The built-in search with this belief where a decision rests on a belief."""

    def model(self, history: History) -> FieldModel:
        return FieldModel(history)

    def bound(self, history: History) -> FieldModel:
        return FieldModel(history)


def by_field(decide, *arguments):
    """A decision taken with this belief in the place of the drift hypotheses."""
    with patch.dict(registry.BUILT_IN, trust=FieldPolicy):
        return decide(*arguments)
