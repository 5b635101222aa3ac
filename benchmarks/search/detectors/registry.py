"""The detectors by name: each reads what is known after a round, and says how strongly it speaks for drift."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.search.detectors import classical
from benchmarks.search.detectors.series import Series
from judgement.drift.assess import strength
from judgement.statistics import GAP_Z
from schemas.events import DriftAssessed

Detector = Callable[[Series, DriftAssessed], float]
"""The statistic after a round: the alarm is the first round in which it reaches the threshold."""

OURS = "Bayes factor (shipped)"


def shipped(_: Series, assessed: DriftAssessed) -> float:
    """The largest threshold at which the shipped test would alarm."""
    return strength(assessed)


def gap(_: Series, assessed: DriftAssessed) -> float:
    """The gap test that stands beside it."""
    return assessed.gap.z if assessed.gap else 0.0


DETECTORS: dict[str, Detector] = {
    OURS: shipped,
    "gap test (shipped)": gap,
    "Page-Hinkley": lambda series, _: classical.page_hinkley(series),
    "CUSUM": lambda series, _: classical.cusum(series),
    "ADWIN (river)": lambda series, _: classical.adwin(series),
    "Spearman permutation": lambda series, _: classical.spearman(series),
}

FIXED = {"gap test (shipped)": GAP_Z}
"""Thresholds that ship; ours stands in the plan, and the others are tuned to equal false alarms."""
