"""Smoothed dev: an exact Gaussian process over recipes for each domain, so that one lucky score is not a gain.

Equations: Rasmussen and Williams (2006), 2.22-2.24 (posterior) and 5.8 (marginal likelihood). Every trial's own
accuracy is the process at its recipe plus a seed effect; replicates of one recipe (the anchors) show the seed noise.
All domains share the shape of the kernel and the seed noise; each has its own amplitude.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from judgement.search.space import Floats

LENGTHS = (0.5, 1.0, 2.0)
"""Length scales tried, in widths of an axis."""

AMPLITUDES = (0.3, 1.0, 3.0)
"""Amplitudes tried, as multiples of the variance of dev over the trials."""

SEED_SDS = (0.005, 0.015, 0.03, 0.06)
"""Standard deviations of the seed effect tried, in accuracy."""

FLOOR = 0.01
"""Smallest prior variance of dev over recipes: two recipes may differ by ten points before any evidence."""


def recipe_kernel(x: Floats, z: Floats, length: float) -> Floats:
    """Correlation of recipes x (N, F) and z (M, F), shape (N, M): half additive over coordinates, half joint.

    The additive half transfers what was learned about one knob to recipes that differ in others; the joint half lets
    knobs interact.
    """
    squared = (x[:, None, :] - z[None, :, :]) ** 2 / (2 * length**2)
    additive: Floats = np.exp(-squared).mean(axis=2)
    joint: Floats = np.exp(-squared.sum(axis=2))
    return 0.5 * additive + 0.5 * joint


@dataclass(frozen=True)
class Smoothing:
    """The posterior of the trials' dev accuracy, domain by domain (D domains, N trials, F coordinates)."""

    x: Floats
    """Recipes of the trials, (N, F)."""
    center: Floats
    """Prior mean per domain, (D,)."""
    amplitude: Floats
    """Prior variance of the process per domain, (D,)."""
    length: float
    """Length scale of the kernel."""
    seed_sd: float
    """Standard deviation between replicates of one recipe, in accuracy."""
    gain: Floats
    """Inverse covariance of the scores, (D, N, N)."""
    residual: Floats
    """Scores less the prior mean, (D, N)."""

    def joint(self, x: Floats, trial: np.ndarray) -> tuple[Floats, Floats]:
        """Posterior mean (D, P) and covariance (D, P, P) of the accuracy at P points.

        `trial` (P,) holds the index of the trial whose own accuracy is wanted, or -1 for a run not made yet.
        """
        own = (trial[:, None] == np.arange(len(self.x))[None, :]).astype(float)
        same = ((trial[:, None] == trial[None, :]) & (trial >= 0)) | np.eye(len(trial), dtype=bool)
        cross = self._covariance(x, self.x, own)
        weights = cross @ self.gain
        mean = self.center[:, None] + np.einsum("dpn,dn->dp", weights, self.residual)
        return mean, self._covariance(x, x, same) - weights @ cross.swapaxes(1, 2)

    def _covariance(self, x: Floats, z: Floats, same: Floats) -> Floats:
        shape = 1.0 + recipe_kernel(x, z, self.length)
        covariance: Floats = self.amplitude[:, None, None] * shape + self.seed_sd**2 * same
        return covariance


def smooth(x: Floats, accuracy: Floats, noise: Floats, base: Floats) -> Smoothing:
    """Fit to N trials: recipes (N, F), accuracies (N, D) and the variances of their sampling error (N, D).

    The shape is the one of highest marginal likelihood among a small grid, the same for all domains. The base's
    accuracy (D,) enters the prior mean only: it has no recipe.
    """
    everything = np.vstack([base, accuracy])
    center, spread = everything.mean(axis=0), np.maximum(FLOOR, everything.var(axis=0))
    residual, kernels = (accuracy - center).T, {length: recipe_kernel(x, x, length) for length in LENGTHS}
    shapes = product(LENGTHS, AMPLITUDES, SEED_SDS)
    best = max(shapes, key=lambda shape: _evidence(kernels[shape[0]], residual, spread * shape[1], noise, shape[2]))
    length, multiple, seed_sd = best
    gain = np.linalg.inv(_scores_covariance(kernels[length], spread * multiple, noise, seed_sd))
    return Smoothing(x, center, spread * multiple, length, seed_sd, gain, residual)


def _scores_covariance(kernel: Floats, amplitude: Floats, noise: Floats, seed_sd: float) -> Floats:
    own = (noise.T + seed_sd**2)[:, :, None] * np.eye(len(kernel))
    covariance: Floats = amplitude[:, None, None] * (1.0 + kernel) + own
    return covariance


def _evidence(kernel: Floats, residual: Floats, amplitude: Floats, noise: Floats, seed_sd: float) -> float:
    """Log marginal likelihood of a shape, summed over the domains, to nine decimals so that ties are stable."""
    root = np.linalg.cholesky(_scores_covariance(kernel, amplitude, noise, seed_sd))
    white = np.linalg.solve(root, residual[:, :, None])
    return round(float(-0.5 * (white**2).sum() - np.log(np.einsum("dnn->dn", root)).sum()), 9)
