"""The baseline `dev_greedy`: take dev for the target. What most automatic searches do, and what drift defeats.

It searches as the loop's own policy does (the same first round, the same surfaces, the same climbs), so that a
comparison tells what the judgement of dev is worth and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from judgement.basis import DIGITS
from judgement.history import History
from judgement.profile import Point, Profile, profile
from judgement.search.policy import Chosen, Proposal
from judgement.search.pool import Model, gains
from judgement.search.space import Floats
from judgement.search.submit import Question, queries_left, unmeasured
from judgement.search.surface import Surface, terms
from judgement.search.surface_target import Target, dev_surfaces
from judgement.search.thompson import designed, imagined_best
from judgement.trial import Trial
from schemas.evidence import Submission
from schemas.policy import Estimate
from schemas.recipe import Recipe
from schemas.scores import BASE

JITTER = 1e-9
"""Added to the variances of a joint draw, so that equal points have a root too."""


@dataclass(frozen=True)
class DevModel:
    """Smoothed dev in the place of the target."""

    evidence: Profile
    """Dev of the trials; target scores are not read."""

    @classmethod
    def fit(cls, history: History) -> DevModel:
        """Learn from all dev scores so far."""
        return cls(profile(history))

    def predict(self, recipe: Recipe) -> Estimate:
        """Dev of a recipe, trained or not."""
        return self._estimate(recipe)

    def predict_trial(self, candidate: str) -> Estimate:
        """Dev of a trial, smoothed."""
        return self._estimate(candidate)

    def samples(self, recipes: Sequence[Recipe], rng: np.random.Generator, draws: int) -> Floats:
        """Joint draws of dev, (draws, recipes)."""
        mean, covariance = self._totals(recipes)
        root = np.linalg.cholesky(covariance + JITTER * np.eye(len(mean)))
        return np.asarray(mean + rng.standard_normal((draws, len(mean))) @ root.T)

    def gain(self, candidate: Point, over: Point) -> tuple[Estimate, float]:
        """Dev of one less dev of the other, and the probability that it is positive."""
        mean, covariance = self._totals([candidate, over])
        contrast = np.array([1.0, -1.0])
        sd = float(np.sqrt(max(contrast @ covariance @ contrast, 1e-18)))
        apart = float(contrast @ mean)
        return Estimate(mean=round(apart, DIGITS), sd=round(sd, DIGITS)), round(float(ndtr(apart / sd)), DIGITS)

    def disagreement(self, candidate: str) -> float:
        """One hypothesis only: none."""
        return 0.0

    def _estimate(self, point: Point) -> Estimate:
        mean, covariance = self._totals([point])
        return Estimate(mean=round(float(mean[0]), DIGITS), sd=round(float(np.sqrt(covariance[0, 0])), DIGITS))

    def _totals(self, points: Sequence[Point]) -> tuple[Floats, Floats]:
        """Mean (P,) and covariance (P, P) of dev, the mean over the domains."""
        found = self.evidence.gains(points)
        base = self.evidence.base_dev[0].mean()
        return base + found.mean.mean(axis=0), found.covariance.sum(axis=0) / len(found.mean) ** 2


class DevGreedy:
    """The policy named `dev_greedy` in a constitution."""

    def propose(self, history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
        """As the loop's own policy, from draws of dev in the place of the target."""
        if history.round == 1:
            return designed(history, slots, rng)
        model = DevModel.fit(history)
        recipes = imagined_best(history, _dev_targets(model.evidence), slots, rng)
        return list(zip(recipes, gains(model, history.policies[history.round].standing, recipes, rng), strict=True))

    def choose_submissions(self, history: History, round_: int) -> Chosen:
        """The highest smoothed dev of those not asked about."""
        question = Question(history, self.model(history), round_, tuple(unmeasured(history)))
        ranked = sorted(question.open, key=question.mean, reverse=True)
        said = [Submission(candidate=t.candidate, reason=f"Highest dev: {question.mean(t):.3f}.") for t in ranked]
        confirm = [s for s in said if not history.trials[s.candidate].settled("confirm")]
        return tuple(confirm[: history.campaign.constitution.budget.confirm_per_round]), tuple(
            said[: queries_left(history)]
        )

    def final(self, history: History) -> tuple[str, Estimate]:
        """The highest smoothed dev of all."""
        model = self.model(history)
        trials = [history.base, *(t for t in history.measured("dev") if t.recipe and _usable(t))]
        found = {t.candidate: model.predict_trial(t.candidate) for t in trials}
        best = max(found, key=lambda name: found[name].mean)
        return best, found[best]

    def model(self, history: History) -> Model:
        """Dev."""
        return DevModel.fit(history)

    def bound(self, history: History) -> Model:
        """Dev: no drift binds who does not look for it."""
        return DevModel.fit(history)


def _dev_targets(evidence: Profile) -> Callable[[np.random.Generator, float], Target]:
    """Draws of dev: a target with slope 1 and nothing beside."""
    table, count = terms(evidence.space), len(evidence.domains)
    surfaces, ones = dev_surfaces(evidence, table), np.ones(count)
    nothing = Surface(table, np.zeros((count, table.size)))
    base, even = evidence.base_dev[0], ones / count
    return lambda rng, warmth: Target(surfaces.draw(rng, warmth), base, ones, np.inf * ones, 0 * ones, nothing, even)


def _usable(trial: Trial) -> bool:
    return trial.candidate == BASE or (trial.checkpoint is not None and not trial.failed)
