"""What every classical detector reads: the submitted candidates in order, as pairs of dev and target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.search.peers.ranking import dev_counts
from judgement.history import History
from judgement.search.space import Floats
from judgement.trial import Trial


@dataclass(frozen=True)
class Series:
    """The base first, then the submitted candidates by round and slot, N in all."""

    dev: Floats
    """Mean dev accuracy, confirmations included, (N,)."""
    target: Floats
    """Target, (N,)."""
    error: Floats
    """Standard error of target less dev, (N,)."""

    @property
    def gap(self) -> Floats:
        """Target less dev."""
        return self.target - self.dev


def series(history: History) -> Series:
    """From the trials whose target is known."""
    queried = [t for t in history.measured("external") if "dev" in t.scores]
    rows = np.array([_pair(trial) for trial in queried])
    return Series(*rows.T)


def _pair(trial: Trial) -> tuple[float, float, float]:
    right, n = dev_counts(trial)
    share = (right + 2) / (n + 4)
    variance = float((share * (1 - share) / n).sum()) / len(n) ** 2
    external = trial.scores["external"]
    return float((right / n).mean()), external.score, float(np.hypot(external.se, variance**0.5))
