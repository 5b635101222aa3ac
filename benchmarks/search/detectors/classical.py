"""Change detectors of the literature on the gap between target and dev; each gives the evidence for a change so far.

All look both ways, so that a blind dev is theirs to find too, and all may alarm from the second submission on.
"""

from __future__ import annotations

import numpy as np
from river.drift import ADWIN

from benchmarks.search.detectors.series import Series
from judgement.search.space import Floats

DELTAS = (1e-6, 1e-5, 1e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
"""Significance levels that ADWIN is run with."""

TOLERANCE = 0.005
"""Page-Hinkley's allowance for a change that does not matter, in accuracy."""

REFERENCE = 0.5
"""CUSUM's allowance, in standard errors: half of a shift of one."""

PERMUTATIONS = 499


def page_hinkley(series: Series) -> float:
    """Page (1954), Hinkley (1971): the sum of departures from the running mean, less its extreme."""
    gap = series.gap
    mean = np.cumsum(gap) / np.arange(1, len(gap) + 1)
    return max(_excursion(gap - mean), _excursion(mean - gap))


def _excursion(departures: Floats) -> float:
    summed = np.cumsum(departures - TOLERANCE)
    return float((summed - np.minimum.accumulate(summed))[-1])


def cusum(series: Series) -> float:
    """Self-starting (Hawkins 1987): each gap against the mean of those before it, summed and restarted at zero."""
    count = np.arange(1, len(series.gap))
    before = np.cumsum(series.gap)[:-1] / count
    doubt = np.sqrt(np.cumsum(series.error**2)[:-1]) / count
    z = (series.gap[1:] - before) / np.hypot(series.error[1:], doubt)
    return max(_sum_from_zero(z), _sum_from_zero(-z))


def _sum_from_zero(z: Floats) -> float:
    total = 0.0
    for value in z:
        total = max(0.0, total + float(value) - REFERENCE)
    return total


def adwin(series: Series) -> float:
    """Bifet and Gavalda (2007), as river has it, allowed to look at every value: 1 less the least level that fires."""
    fired = [delta for delta in DELTAS if _fires(series.gap, delta)]
    return 1.0 - min(fired, default=1.0)


def _fires(gap: Floats, delta: float) -> bool:
    window = ADWIN(delta=delta, clock=1, min_window_length=2, grace_period=2)
    fired = False
    for value in gap:
        window.update(float(value))
        fired |= window.drift_detected
    return fired


def spearman(series: Series) -> float:
    """One less the permutation probability that ranks of dev and target agree as little as they do."""
    a, b = (_centred_ranks(part) for part in (series.dev, series.target))
    rng = np.random.default_rng(len(a))
    shuffled = rng.permuted(np.tile(b, (PERMUTATIONS, 1)), axis=1) @ a
    return 1.0 - float((1 + (shuffled <= a @ b).sum()) / (1 + PERMUTATIONS))


def _centred_ranks(values: Floats) -> Floats:
    ranks: Floats = values.argsort().argsort() - (len(values) - 1) / 2
    return ranks
