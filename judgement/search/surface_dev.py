"""Dev as response surfaces, one per domain, learned from all trials: whole functions, drawn from their posterior.

The mean over the domains and the domains' departures from it are fitted apart: what is good for one domain is mostly
good for all, and the mean is known better than its parts. The weights are Gaussian with one scale for slopes, one for
squares and one for products; the scales are those of highest marginal likelihood on a small grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from judgement.search.space import Floats
from judgement.search.surface import Surface, Terms

SLOPES = (0.01, 0.02, 0.04, 0.08)
"""Standard deviations tried for a slope, in accuracy from the middle of an axis to its end."""

SQUARES, PRODUCTS = (0.5, 1.5), (0.1, 0.3)
"""Standard deviations tried for squares and products, as multiples of a slope's."""

LEVEL = 0.3
"""Standard deviation of the middle of the space, in accuracy."""


@dataclass(frozen=True, eq=False)
class Fit:
    """The posterior of K functions with a common prior, given N points."""

    features: Floats
    """(N, size)."""
    prior: Floats
    """Variance of each weight, (size,)."""
    noise: Floats
    """Variance of each observation, (N,)."""
    values: Floats
    """Observations, (N, K)."""
    root: Floats
    """Cholesky root of the covariance of the observations, (N, N)."""

    def draw(self, rng: np.random.Generator, temperature: float = 1.0) -> Floats:
        """Weights of one draw of all K functions, (K, size): a prior draw, corrected by what was seen (Matheron).

        `temperature` is the share of the posterior spread that it has; at 0 it is the posterior mean.
        """
        count = self.values.shape[1]
        weights = temperature * rng.standard_normal((len(self.prior), count)) * np.sqrt(self.prior)[:, None]
        error = temperature * rng.standard_normal(self.values.shape) * np.sqrt(self.noise)[:, None]
        away = self.values - self.features @ weights - error
        solved = cho_solve((self.root, True), away, check_finite=False)
        drawn: Floats = (weights + self.prior[:, None] * (self.features.T @ solved)).T
        return drawn


@dataclass(frozen=True, eq=False)
class DevSurfaces:
    """Dev of D domains over the space."""

    terms: Terms
    """Terms of the surfaces."""
    common: Fit
    """The mean over the domains, less its mean over the trials."""
    apart: Fit
    """Each domain less that mean."""
    center: Floats
    """What each domain is expected to be in the middle of the space, (D,)."""

    def draw(self, rng: np.random.Generator, temperature: float = 1.0) -> Surface:
        """One draw of the dev of all domains; see `Fit.draw`."""
        apart = self.apart.draw(rng, temperature)
        weights = self.common.draw(rng, temperature) + apart - apart.mean(axis=0)
        weights[:, 0] += self.center
        return Surface(self.terms, weights)


def fit(terms: Terms, features: Floats, accuracy: Floats, noise: Floats, center: Floats) -> DevSurfaces:
    """Learn from N trials: terms (N, size), accuracies (N, D), variances of their errors (N, D); center (D,)."""
    away, domains = accuracy - center, accuracy.shape[1]
    mean = away.mean(axis=1, keepdims=True)
    common = _best(terms, features, mean, noise.sum(axis=1) / domains**2)
    return DevSurfaces(terms, common, _best(terms, features, away - mean, noise.mean(axis=1)), center)


def _best(terms: Terms, features: Floats, values: Floats, noise: Floats) -> Fit:
    """The fit whose scales explain the observations best; the first of equals."""
    fits = [_fit(terms, features, values, noise, *scales) for scales in product(SLOPES, SQUARES, PRODUCTS)]
    return max(fits, key=_evidence)


def _fit(
    terms: Terms, features: Floats, values: Floats, noise: Floats, slope: float, square: float, pairs: float
) -> Fit:
    prior = terms.variances(LEVEL, slope, slope * square, slope * pairs)
    covariance = (features * prior) @ features.T + np.diag(noise)
    return Fit(features, prior, noise, values, np.linalg.cholesky(covariance))


def _evidence(fitted: Fit) -> float:
    """Log marginal likelihood, to six decimals so that ties fall the same way everywhere."""
    white = solve_triangular(fitted.root, fitted.values, lower=True, check_finite=False)
    logs = np.log(np.diag(fitted.root)).sum() * fitted.values.shape[1]
    return round(float(-0.5 * (white**2).sum() - logs), 6)
