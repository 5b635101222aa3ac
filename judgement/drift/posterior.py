"""The posterior of the drift hypotheses: exact Gaussian marginal likelihoods over slope, regimes and domains.

Given the campaign's slope and the regime, the scores of a target are independent. So any number of domains may drift at
once, and the sum over all their combinations is a product of small sums.

Axes of the arrays: R slopes, K regimes, C scores of the target, G hypotheses of a score, H of a domain, D domains,
P points, N measured trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import logsumexp, ndtr

from judgement.drift.hypotheses import (
    DEVIATION,
    OFFSET_MEAN,
    OFFSET_SD,
    SLOPE_PRIOR,
    SLOPES,
    Hypotheses,
    Layout,
    itemised,
    total,
)
from judgement.profile import Gains, Point, Profile
from judgement.search.space import Floats
from schemas.policy import Estimate
from schemas.scores import Scores


@dataclass(frozen=True)
class Law:
    """Gaussian law of the target at P points, for each hypothesis."""

    mean: Floats
    """(R, C, G, P)."""
    covariance: Floats
    """(R, C, G, P, P)."""


def hinge(hyps: Hypotheses, gains: Gains) -> tuple[Floats, Floats]:
    """Expected dev gain beyond the level, and the probability of being beyond it, each (H, D, P)."""
    sd = np.sqrt(np.maximum(np.einsum("dpp->dp", gains.covariance), 1e-18))
    # E max(0, X) for X ~ N(away, sd^2) is sd phi(away / sd) + away Phi(away / sd). An infinite level is set to 1e3, far
    # beyond any gain, because inf - inf has no value.
    away = gains.mean[None] - np.where(np.isinf(hyps.level), 1e3, hyps.level)[:, :, None]
    density = np.exp(-0.5 * (away / sd) ** 2) / np.sqrt(2 * np.pi)
    beyond = ndtr(away / sd)
    return np.maximum(0.0, sd * density + away * beyond), beyond


def law(hyps: Hypotheses, layout: Layout, gains: Gains, slopes: Floats) -> Law:
    """The target at the points of `gains` under every slope and hypothesis.

    The error of smoothed dev enters by its first-order effect on the target: slope times error.
    """
    over, beyond = hinge(hyps, gains)
    under = gains.mean[None] - over
    # Target per point of dev at each point: the tracking slope below the level, the second slope above it.
    per_dev = slopes[:, None, None, None] * (1 - beyond) + hyps.slope_mean[:, :, None] * beyond
    mean = (
        OFFSET_MEAN
        + slopes[:, None, None, None] * under
        + (hyps.slope_mean[:, :, None] * over + hyps.effect_mean[:, :, None] * gains.trained)
    )
    # Each Gaussian coefficient adds its prior variance times the outer product of what multiplies it. The base has no
    # recipe, so `kernel` and `same` are zero for it.
    fixed = (
        OFFSET_SD**2
        + (hyps.slope_sd**2)[:, :, None, None] * _outer(over)
        + (hyps.effect_sd**2)[:, :, None, None] * gains.kernel
        + (hyps.mismatch_sd**2)[:, :, None, None] * gains.same
    )
    own_slope = (DEVIATION * slopes[:, None, None, None, None]) ** 2 * _outer(under)
    return _combine(mean, fixed + own_slope + _outer(per_dev) * gains.covariance, layout)


def _combine(mean: Floats, covariance: Floats, layout: Layout) -> Law:
    """Laws of the target's scores (R, C, G, ...) from those of the domains (R, H, D, ...)."""
    # Only the domains of a score enter its sum: C x G x D arrays would mostly hold zeros.
    means, covariances = [], []
    for share, assigned in zip(layout.share, layout.assigned, strict=True):
        parts = np.flatnonzero(share)
        means.append(np.einsum("d,rgdp->rgp", share[parts], mean[:, assigned[:, parts], parts]))
        covariances.append(np.einsum("d,rgdpq->rgpq", share[parts] ** 2, covariance[:, assigned[:, parts], parts]))
    return Law(np.stack(means, axis=1), np.stack(covariances, axis=1))


def _outer(column: Floats) -> Floats:
    product: Floats = column[..., :, None] * column[..., None, :]
    return product


@dataclass(frozen=True)
class Posterior:
    """The hypotheses given the measured trials; it predicts the target at any trial or recipe."""

    profile: Profile
    """Dev and target of the trials."""
    hyps: Hypotheses
    """Hypotheses per domain."""
    layout: Layout
    """How they combine into the target's scores."""
    measured: tuple[str, ...]
    """The trials whose target is measured, N of them."""
    outer: Floats
    """Probability of slope and regime, (R, K)."""
    inner: Floats
    """Probability of a score's hypotheses given slope and regime, (R, K, C, G)."""
    evidence: float
    """Log marginal likelihood of everything."""
    tracking: float
    """Log marginal likelihood if dev tracks the target in every domain."""
    precision: Floats
    """Inverse covariance of the measured scores, (R, C, G, N, N)."""
    surprise: Floats
    """Precision times the residuals of the measured scores, (R, C, G, N)."""

    def predict(self, points: Sequence[Point]) -> Law:
        """Posterior law of the target's scores at the points, under each hypothesis."""
        prior = law(self.hyps, self.layout, self.profile.gains([*self.measured, *points]), SLOPES)
        return condition(prior, self.precision, self.surprise)

    def sample(self, rng: np.random.Generator) -> tuple[int, np.ndarray]:
        """A random slope, and a random hypothesis for each score of the target, (C,), by their probability."""
        slope, regime = np.unravel_index(
            rng.choice(self.outer.size, p=_normalised(self.outer.ravel())), self.outer.shape
        )
        return int(slope), np.array([rng.choice(len(h), p=_normalised(h)) for h in self.inner[slope, regime]])

    @cached_property
    def joint(self) -> Floats:
        """Joint probability of a regime and a score's hypothesis, (K, C, G)."""
        joint: Floats = np.einsum("rk,rkcg->kcg", self.outer, self.inner)
        return joint

    def slope(self) -> Estimate:
        """Points of target per point of dev if dev tracks it."""
        return mixture(self.outer.sum(axis=1), SLOPES, np.zeros(len(SLOPES)))

    def slope_beyond(self, domain: int, hypothesis: int) -> Estimate:
        """Points of target per point of dev beyond the level, if the hypothesis holds in the domain."""
        # The second slope is one Gaussian coefficient. Its posterior follows from its lever: the gain beyond the level
        # at each measured trial, times the domain's share of the score.
        over = hinge(self.hyps, self.profile.gains(self.measured))[0][hypothesis, domain]
        mean, variance = self.hyps.slope_mean[hypothesis, domain], self.hyps.slope_sd[hypothesis, domain] ** 2
        lever = self.layout.share[:, [domain]] * over
        means = mean + variance * np.einsum("cn,rcgn->rcg", lever, self.surprise)
        variances = variance - variance**2 * np.einsum("cn,rcgnm,cm->rcg", lever, self.precision, lever)
        where = (self.layout.share[:, [domain]] > 0) & (self.layout.assigned[:, :, domain] == hypothesis)
        # 1e-300 keeps the weights from summing to zero where the hypothesis has no posterior mass left.
        weights = np.einsum("rk,rkcg->rcg", self.outer, self.inner) * where + 1e-300 * where
        return mixture(weights / float(weights.sum()), means, variances)


def posterior(profile: Profile, hyps: Hypotheses) -> Posterior:
    """Weigh the hypotheses by every trial whose target is measured; without one the posterior is the prior."""
    count, domains = len(hyps.kinds), len(profile.domains)
    layout = itemised(domains, count) if profile.itemised else total(domains, count)
    scores, noise = measurements(profile)
    prior = law(hyps, layout, profile.gains(tuple(profile.targets)), SLOPES)
    covariance = prior.covariance + noise[:, None, :, None] * np.eye(noise.shape[1])
    precision = np.linalg.inv(covariance)
    residual = scores[:, None] - prior.mean
    surprise = np.einsum("rcgpq,rcgq->rcgp", precision, residual)
    # Log Gaussian density of each score's measurements, (R, C, G); the constant is the same for all and cancels.
    fit = -0.5 * (np.linalg.slogdet(covariance)[1] + (residual * surprise).sum(axis=-1))
    # Sums are taken in logarithms: likelihoods of many trials underflow. Zero priors give -inf, which is wanted.
    with np.errstate(divide="ignore"):
        log_prior, log_regimes = np.log(layout.prior), np.log(layout.regimes)
    log_slopes = np.log(SLOPE_PRIOR / SLOPE_PRIOR.sum())
    weighed = log_prior[None] + fit[:, None]
    per_score = logsumexp(weighed, axis=-1)
    outer = log_slopes[:, None] + log_regimes + per_score.sum(axis=-1)
    evidence = float(logsumexp(outer))
    return Posterior(
        profile=profile,
        hyps=hyps,
        layout=layout,
        measured=tuple(profile.targets),
        outer=np.exp(outer - evidence),
        inner=np.exp(weighed - per_score[..., None]),
        evidence=evidence,
        tracking=float(logsumexp(log_slopes + fit[:, :, 0].sum(axis=-1))),
        precision=precision,
        surprise=surprise,
    )


def mixture(weights: Floats, means: Floats, variances: Floats) -> Estimate:
    """Mean and standard deviation of a mixture, rounded so that no choice depends on the last bits."""
    mean = float((weights * means).sum())
    variance = float((weights * (variances + (means - mean) ** 2)).sum())
    return Estimate(mean=round(mean, 9), sd=round(max(0.0, variance) ** 0.5, 9))


def _normalised(weights: Floats) -> Floats:
    """The weights with a sum of exactly 1, as `Generator.choice` requires."""
    return weights / float(weights.sum())


def condition(prior: Law, precision: Floats, surprise: Floats) -> Law:
    """The law at the later points given the scores of the first N; `prior` covers both.

    Gaussian conditioning: the mean moves by cross @ precision @ residual, which is cross @ surprise.
    """
    n = surprise.shape[-1]
    cross = prior.covariance[..., n:, :n]
    mean = prior.mean[..., n:] + np.einsum("...pn,...n->...p", cross, surprise)
    return Law(mean, prior.covariance[..., n:, n:] - cross @ precision @ cross.swapaxes(-1, -2))


def measurements(profile: Profile) -> tuple[Floats, Floats]:
    """The measured scores of the target and their sampling variances, each (C, N)."""
    read = _per_domain if profile.itemised else _total_only
    rows = [read(scores, profile.domains) for scores in profile.targets.values()]
    width = len(profile.domains) if profile.itemised else 1
    return tuple(np.array(rows).reshape(len(rows), 2, width).transpose(1, 2, 0))  # type: ignore[return-value]


def _per_domain(scores: Scores, domains: tuple[str, ...]) -> list[list[float]]:
    return [[scores.domains[d].score for d in domains], [scores.domains[d].se ** 2 for d in domains]]


def _total_only(scores: Scores, domains: tuple[str, ...]) -> list[list[float]]:
    return [[scores.score], [scores.se**2]]
