"""Intervals: of a share, of a mean, and of a mean difference between runs on the same seeds. All 95 %."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

LEVEL = 0.95


def mean_half_width(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half the width of its t interval; the width is infinite for a single value."""
    sample = np.asarray(values, dtype=float)
    if len(sample) < 2:
        return float(sample.mean()), float("inf")
    error = float(sample.std(ddof=1)) / len(sample) ** 0.5
    return float(sample.mean()), float(stats.t.ppf((1 + LEVEL) / 2, len(sample) - 1)) * error


def paired(ours: Sequence[float], peer: Sequence[float]) -> tuple[float, float]:
    """Mean of peer - ours over the same seeds, and half the width of its interval: above zero is ours ahead."""
    return mean_half_width([theirs - own for own, theirs in zip(ours, peer, strict=True)])
