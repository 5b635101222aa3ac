"""The project's own search policy, `trust`: Thompson sampling from the average of the drift hypotheses.

While dev tracks the target its model is a regression on dev; where dev does not, a dev gain counts only as far as the
evidence supports it (`TrustModel.fit`), and never beyond the level of a standing `DriftDetected` (`TrustModel.bound`).
A target score always counts.

Proposals and the final choice use the average. Standing drifts bind promotions and submissions only. To ignore dev of a
drifting domain in the proposals too costs more than it saves, since dev is mostly wrong about some recipes only
(`docs/reference/benchmarks/search.md`).
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
from judgement.search.policy import Chosen, Model, Proposal, gains
from judgement.search.promote import winner
from judgement.search.propose import first_round, later_round
from judgement.search.space import Floats
from judgement.search.submit import choose
from judgement.search.surface import terms
from judgement.search.surface_target import Targets
from schemas.events import DriftDetected
from schemas.policy import Estimate
from schemas.recipe import Recipe
from schemas.scores import BASE

CHUNK = 16
"""Points predicted together: bounds the memory of their joint covariance."""

JITTER = 1e-9
"""Added to the variances of a joint draw, so that duplicate points do no harm: 3e-5 points of accuracy."""


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
        """The same, bound by the standing drifts of the history."""
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
        """Target accuracy of every trial, computed once: callers read it repeatedly."""
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
        """Target accuracies of trials and recipes; equal to single calls, but faster."""
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
        sds = [sd for at in self._laws for sd in self._spreads(at.mean)]
        return dict(zip(self._names, sds, strict=True))

    def _spreads(self, expected: Floats) -> list[float]:
        inner, share = self.posterior.inner, self.posterior.layout.weights
        center = np.einsum("rkcg,rcgp->rkcp", inner, expected)
        within = np.einsum("rkcg,rcgp->rkcp", inner, expected**2) - center**2
        means, variances = np.einsum("c,rkcp->prk", share, center), np.einsum("c,rkcp->prk", share**2, within)
        return [
            mixture(self.posterior.outer, mean, variance).sd for mean, variance in zip(means, variances, strict=True)
        ]

    def samples(self, recipes: Sequence[Point], rng: np.random.Generator, draws: int) -> Floats:
        """Joint draws of the target accuracies, (draws, P), sharing the algebra of equal hypotheses.

        Each draws slope and regime, then a hypothesis per score, then coefficients and dev profile, by their posterior.
        """
        gains = self.posterior.profile.gains([*self.posterior.measured, *recipes])

        @cache
        def total_law(slope: int, *indices: int) -> tuple[Floats, Floats]:
            return self._total_law(gains, slope, np.array(indices))

        sampled = []
        for _ in range(draws):
            slope, hypotheses_ = self.posterior.sample(rng)
            mean, root = total_law(slope, *hypotheses_.tolist())
            sampled.append(mean + root @ rng.standard_normal(len(mean)))
        return np.stack(sampled)

    def _total_law(self, gains: Gains, slope: int, indices: np.ndarray) -> tuple[Floats, Floats]:
        """Mean (P,) and Cholesky root (P, P) of the total under a slope and a hypothesis for each score."""
        p = self.posterior
        hyps, layout = p.layout.narrowed(p.hyps, indices)
        prior = law(hyps, layout, gains, SLOPES[slope : slope + 1])
        score = np.arange(len(indices))
        fitted = p.precision[slope, score, indices], p.surprise[slope, score, indices]
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
    """Level at which dev stops counting, by index of the domain; a drift over `all` gates every domain."""
    levels: dict[int, float] = {}
    for scope, drift in standing.items():
        for index in range(len(domains)) if scope == "all" else (domains.index(scope),):
            levels[index] = min(drift.assessment.level, levels.get(index, np.inf))
    return levels


def _chunks(points: Sequence[Point]) -> list[Sequence[Point]]:
    return [points[start : start + CHUNK] for start in range(0, len(points), CHUNK)]


class Trust:
    """The policy named `trust` in a constitution."""

    def propose(self, history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
        """Round 1: the most informative recipes. Later rounds: recipes that may be the best."""
        if history.round == 1:
            return first_round(history, slots, rng)
        model = TrustModel.fit(history)
        targets = Targets(model.posterior, terms(history.campaign.constitution.space))
        recipes = later_round(history, targets.draw, slots, rng)
        return list(zip(recipes, gains(model, history.policies[history.round].standing, recipes, rng), strict=True))

    def choose_submissions(self, history: History, round_: int) -> Chosen:
        """One query for the best, one for the audit of dev."""
        return choose(history, self.bound(history), round_)

    def final(self, history: History) -> tuple[str, Estimate]:
        """The highest posterior mean of the target."""
        return winner(history, self.model(history))

    def model(self, history: History) -> Model:
        """The drift hypotheses, averaged."""
        return TrustModel.fit(history)

    def bound(self, history: History) -> Model:
        """The same, gated by standing drifts."""
        return TrustModel.bound(history)
