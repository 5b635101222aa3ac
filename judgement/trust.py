"""What a recipe is worth on the target: the drift hypotheses averaged, and gated by the drifts that stand.

While dev tracks the target this is a regression on dev; where it does not, dev gain counts only as far as the evidence
lets it (soft), and never beyond the level of a standing `DriftDetected` (hard). A target score always counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr

from judgement.drift_hypotheses import SLOPES, hypotheses
from judgement.drift_posterior import Law, Posterior, condition, law, mixture, posterior
from judgement.features import Floats
from judgement.history import History
from judgement.profile import Gains, Point, profile
from schemas.events import DriftDetected
from schemas.policy import Estimate
from schemas.recipe import Recipe
from schemas.scores import BASE

CHUNK = 16
"""Points predicted together: bounds the memory of their joint covariance."""

JITTER = 1e-9
"""Added to the variances of a joint draw, so that a point asked for twice does no harm: 3e-5 points of accuracy."""


@dataclass(frozen=True)
class TrustModel:
    """Beliefs about the overall target accuracy (mean of the domains, 0 to 1) of trials and of recipes not yet run."""

    posterior: Posterior
    """The weighed hypotheses, gated."""

    @classmethod
    def fit(cls, history: History) -> TrustModel:
        """Learn from everything measured so far; the drifts that stand in the history bind."""
        evidence = profile(history)
        hyps = hypotheses(len(evidence.domains)).gated(_gates(evidence.domains, history.standing_drifts))
        return cls(posterior(evidence, hyps))

    @property
    def noise(self) -> float:
        """Standard deviation of dev between replicates of one recipe, in accuracy of one domain."""
        return self.posterior.profile.smoothing.seed_sd

    def predict(self, recipe: Recipe) -> Estimate:
        """Target accuracy of a run of the recipe, trained or not; for a given run see `predict_trial`."""
        return self.predict_all([recipe])[0]

    def predict_trial(self, candidate: str) -> Estimate:
        """Target accuracy of a trial (or `base`), from its own dev and, where measured, its own target score.

        Raises `KeyError` for a trial without a dev score.
        """
        return self._trials[candidate]

    @cached_property
    def _trials(self) -> dict[str, Estimate]:
        """Target accuracy of every trial; they are asked for again and again."""
        names = [BASE, *self.posterior.profile.trials]
        return dict(zip(names, self.predict_all(names), strict=True))

    def predict_all(self, points: Sequence[Point]) -> list[Estimate]:
        """Target accuracies of trials and recipes; the same as one by one, in less time."""
        return [estimate for part in _chunks(points) for estimate in self._estimates(part)]

    def gain(self, candidate: Point, over: Point) -> tuple[Estimate, float]:
        """Target accuracy of one trial or recipe less that of another, and the probability that it is positive."""
        means, covariances = self._totals([candidate, over])
        contrast = np.array([1.0, -1.0])
        mean, variance = means @ contrast, np.maximum(0.0, contrast @ covariances @ contrast)
        above = ndtr(mean / np.sqrt(np.maximum(variance, 1e-18)))
        weights = self.posterior.outer
        return mixture(weights, mean, variance), round(float((weights * above).sum()), 9)

    def disagreement(self, candidate: str) -> float:
        """Standard deviation, over the hypotheses, of the target accuracy that they expect of a trial."""
        return self._disagreements[candidate]

    @cached_property
    def _disagreements(self) -> dict[str, float]:
        names = [BASE, *self.posterior.profile.trials]
        found = [sd for part in _chunks(names) for sd in self._apart(part)]
        return dict(zip(names, found, strict=True))

    def _apart(self, points: Sequence[Point]) -> list[float]:
        expected = self.posterior.predict(points).mean
        inner, share = self.posterior.inner, self.posterior.layout.weights
        center = np.einsum("rkcg,rcgp->rkcp", inner, expected)
        within = np.einsum("rkcg,rcgp->rkcp", inner, expected**2) - center**2
        means, variances = np.einsum("c,rkcp->prk", share, center), np.einsum("c,rkcp->prk", share**2, within)
        return [
            mixture(self.posterior.outer, mean, variance).sd for mean, variance in zip(means, variances, strict=True)
        ]

    def samples(self, recipes: Sequence[Point], rng: np.random.Generator, draws: int) -> Floats:
        """Joint draws of the target accuracies, (draws, P), for less than so many single ones.

        Each draws slope and regime, then a hypothesis per score, then coefficients and dev profile, by their posterior.
        """
        gains = self.posterior.profile.gains([*self.posterior.measured, *recipes])
        return np.stack([self._draw(gains, rng) for _ in range(draws)])

    def _draw(self, gains: Gains, rng: np.random.Generator) -> Floats:
        p = self.posterior
        slope, drawn = p.drawn(rng)
        hyps, layout = p.layout.narrowed(p.hyps, drawn)
        prior = law(hyps, layout, gains, SLOPES[slope : slope + 1])
        score = np.arange(len(drawn))
        fitted = p.precision[slope, score, drawn], p.surprise[slope, score, drawn]
        after = condition(Law(prior.mean[0, :, 0], prior.covariance[0, :, 0]), *fitted)
        total = np.einsum("c,cpq->pq", layout.weights**2, after.covariance)
        root = np.linalg.cholesky(total + JITTER * np.eye(len(total)))
        return layout.weights @ after.mean + root @ rng.standard_normal(len(total))

    def _estimates(self, points: Sequence[Point]) -> list[Estimate]:
        means, covariances = self._totals(points)
        weights = self.posterior.outer
        return [mixture(weights, means[..., i], covariances[..., i, i]) for i in range(len(points))]

    def _totals(self, points: Sequence[Point]) -> tuple[Floats, Floats]:
        """Mean (R, K, P) and covariance (R, K, P, P) of the total under each slope and regime, hypotheses averaged."""
        at, inner, share = self.posterior.predict(points), self.posterior.inner, self.posterior.layout.weights
        mean = np.einsum("rkcg,rcgp->rkcp", inner, at.mean)
        second = at.covariance + at.mean[..., :, None] * at.mean[..., None, :]
        spread = np.einsum("rkcg,rcgpq->rkcpq", inner, second) - mean[..., :, None] * mean[..., None, :]
        return np.einsum("c,rkcp->rkp", share, mean), np.einsum("c,rkcpq->rkpq", share**2, spread)


def _gates(domains: tuple[str, ...], standing: Mapping[str, DriftDetected]) -> dict[int, float]:
    """Level at which dev stops counting, by index of the domain; a drift over all gates every domain."""
    levels: dict[int, float] = {}
    for scope, drift in standing.items():
        for index in range(len(domains)) if scope == "all" else (domains.index(scope),):
            levels[index] = min(drift.assessment.level, levels.get(index, np.inf))
    return levels


def _chunks(points: Sequence[Point]) -> list[Sequence[Point]]:
    return [points[start : start + CHUNK] for start in range(0, len(points), CHUNK)]
