"""What a recipe is worth on the target: the drift hypotheses averaged, and on demand gated by the drifts that stand.

While dev tracks the target this is a regression on dev; where it does not, dev gain counts only as far as the evidence
lets it (`fit`), and, where a standing `DriftDetected` binds, never beyond its level (`bound`). A target score always
counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy.special import ndtr

from judgement.drift.hypotheses import SLOPES, hypotheses
from judgement.drift.posterior import Law, Posterior, condition, law, mixture, posterior
from judgement.history import History
from judgement.profile import Gains, Point, profile
from judgement.search.space import Floats
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
    """The weighed hypotheses, gated or not."""

    @classmethod
    def fit(cls, history: History) -> TrustModel:
        """Learn from everything measured so far: the hypotheses averaged."""
        evidence = profile(history)
        return cls(posterior(evidence, hypotheses(len(evidence.domains))))

    @classmethod
    def bound(cls, history: History) -> TrustModel:
        """The same, where the drifts that stand in the history bind."""
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
        estimates = [estimate for at in self._laws for estimate in self._estimates(at)]
        return dict(zip(self._names, estimates, strict=True))

    @property
    def _names(self) -> list[str]:
        return [BASE, *self.posterior.profile.trials]

    @cached_property
    def _laws(self) -> list[Law]:
        """The law of all trials, part by part."""
        return [self.posterior.predict(part) for part in _chunks(self._names)]

    def predict_all(self, points: Sequence[Point]) -> list[Estimate]:
        """Target accuracies of trials and recipes; the same as one by one, in less time."""
        laws = (self.posterior.predict(part) for part in _chunks(points))
        return [estimate for at in laws for estimate in self._estimates(at)]

    def gain(self, candidate: Point, over: Point) -> tuple[Estimate, float]:
        """Target accuracy of one trial or recipe less that of another, and the probability that it is positive."""
        means, covariances = self._totals(self.posterior.predict([candidate, over]))
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
        found = [sd for at in self._laws for sd in self._apart(at.mean)]
        return dict(zip(self._names, found, strict=True))

    def _apart(self, expected: Floats) -> list[float]:
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

        @cache
        def held(slope: int, *drawn: int) -> tuple[Floats, Floats]:
            return self._under(gains, slope, np.array(drawn))

        drawn = []
        for _ in range(draws):
            slope, hypotheses_ = self.posterior.drawn(rng)
            mean, root = held(slope, *hypotheses_.tolist())
            drawn.append(mean + root @ rng.standard_normal(len(mean)))
        return np.stack(drawn)

    def _under(self, gains: Gains, slope: int, drawn: np.ndarray) -> tuple[Floats, Floats]:
        """Mean (P,) and Cholesky root (P, P) of the total under a slope and a hypothesis for each score."""
        p = self.posterior
        hyps, layout = p.layout.narrowed(p.hyps, drawn)
        prior = law(hyps, layout, gains, SLOPES[slope : slope + 1])
        score = np.arange(len(drawn))
        fitted = p.precision[slope, score, drawn], p.surprise[slope, score, drawn]
        after = condition(Law(prior.mean[0, :, 0], prior.covariance[0, :, 0]), *fitted)
        total = np.einsum("c,cpq->pq", layout.weights**2, after.covariance)
        return layout.weights @ after.mean, np.linalg.cholesky(total + JITTER * np.eye(len(total)))

    def _estimates(self, at: Law) -> list[Estimate]:
        means, covariances = self._totals(at)
        weights = self.posterior.outer
        return [mixture(weights, means[..., i], covariances[..., i, i]) for i in range(means.shape[-1])]

    def _totals(self, at: Law) -> tuple[Floats, Floats]:
        """Mean (R, K, P) and covariance (R, K, P, P) of the total under each slope and regime, hypotheses averaged."""
        inner, share = self.posterior.inner, self.posterior.layout.weights
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
