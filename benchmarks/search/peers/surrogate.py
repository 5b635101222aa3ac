"""A Gaussian process over recipes for each domain of dev: the surrogate of the peers that have one.

One kernel shape for all domains, half additive over coordinates and half joint; noise is that of the counts. The
shape is picked from a small grid by marginal likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from benchmarks.search.space import ARMS, Codes, arms, positions, shares
from judgement.search.space import Floats

LENGTHS = np.array([0.7] * 8 + [0.8] * 6)
"""Length scales of the knobs and of the mix, times the grid's scale."""
SCALES = (0.6, 1.2)
ADDITIVE = (0.35, 0.75)
AMPLITUDES = (0.5, 2.0, 6.0)


@dataclass(frozen=True)
class Points:
    """Recipes as the kernel sees them."""

    numbers: Floats
    """Knobs and logarithms of the shares, (N, 14)."""
    choices: Codes
    """Arms, (N, 3)."""


def points(codes: Codes) -> Points:
    """From rows of the space."""
    return Points(np.hstack([positions(codes), 0.5 * np.log(6 * shares(codes) + 0.2)]), arms(codes))


def kernel(a: Points, b: Points, scale: float, additive: float) -> Floats:
    """Correlation of two sets of recipes, plus one for the common level, (N, M)."""
    squared = ((a.numbers[:, None] - b.numbers[None]) / (scale * LENGTHS)) ** 2
    other = (a.choices[:, None] != b.choices[None]).sum(axis=2)
    sums = 0.75 * np.exp(-squared / 2).mean(axis=2) + 0.25 * (1 - other / len(ARMS))
    joint = np.exp(-squared.sum(axis=2) / 12 - 0.35 * other)
    whole: Floats = 1 + additive * sums + (1 - additive) * joint
    return whole


@dataclass(frozen=True)
class Surrogate:
    """The fitted processes of D responses at N recipes."""

    at: Points
    """Recipes of the data."""
    center: Floats
    """Prior means, (D,)."""
    amplitude: Floats
    """Prior variances, (D,)."""
    shape: tuple[float, float]
    """Scale of the lengths, and the additive part."""
    gain: Floats
    """Inverse covariances, (D, N, N)."""
    residual: Floats
    """Data less the prior mean, (D, N)."""

    def predict(self, at: Points) -> tuple[Floats, Floats]:
        """Posterior means (D, P) and joint covariances (D, P, P)."""
        cross = self.amplitude[:, None, None] * kernel(at, self.at, *self.shape)
        weights = cross @ self.gain
        mean = self.center[:, None] + np.einsum("dpn,dn->dp", weights, self.residual)
        prior = self.amplitude[:, None, None] * kernel(at, at, *self.shape)
        return mean, prior - weights @ cross.swapaxes(1, 2)


def fit(codes: Codes, values: Floats, noise: Floats) -> Surrogate:
    """From values (N, D) with error variances (N, D)."""
    at, center = points(codes), values.mean(axis=0)
    residual, spread = (values - center).T, np.maximum(values.var(axis=0), 1e-4)
    shapes = [(s, m) for s, m in product(SCALES, ADDITIVE)]
    kernels: dict[tuple[float, float], Floats] = {shape: kernel(at, at, *shape) for shape in shapes}
    grid = [(shape, multiple) for shape in shapes for multiple in AMPLITUDES]
    fits = [_evidence(kernels[shape], spread * multiple, residual, noise) for shape, multiple in grid]
    shape, multiple = grid[int(np.argmax(fits))]
    gain = np.linalg.inv(_covariance(kernels[shape], spread * multiple, noise))
    return Surrogate(at, center, spread * multiple, shape, gain, residual)


def _covariance(correlation: Floats, amplitude: Floats, noise: Floats) -> Floats:
    whole: Floats = amplitude[:, None, None] * correlation + noise.T[:, :, None] * np.eye(len(correlation))
    return whole


def _evidence(correlation: Floats, amplitude: Floats, residual: Floats, noise: Floats) -> float:
    root = np.linalg.cholesky(_covariance(correlation, amplitude, noise))
    white = np.linalg.solve(root, residual[:, :, None])
    return float(-0.5 * (white**2).sum() - np.log(np.einsum("dnn->dn", root)).sum())


def draws(mean: Floats, covariance: Floats, rng: np.random.Generator, count: int) -> Floats:
    """Joint draws, summed over the D responses, (count, P)."""
    total, spread = mean.sum(axis=0), covariance.sum(axis=0)
    root = np.linalg.cholesky(spread + 1e-9 * np.eye(len(total)))
    samples: Floats = total + rng.standard_normal((count, len(total))) @ root.T
    return samples


def shares_right(counts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[Floats, Floats]:
    """Accuracies and their error variances, each (N, D), from items right and items."""
    right, n = (np.array(part, dtype=float) for part in zip(*counts, strict=True))
    p = (right + 2) / (n + 4)
    return right / n, p * (1 - p) / n
