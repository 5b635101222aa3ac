"""The drift test's statistic beside its threshold, as a bar on a logarithmic axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

from audit.narrate import odds
from schemas.events import DriftAssessed
from services.console.web.scale import Scale

LOG = Scale(-2, 9, 24, 590)
"""From a hundredth to the cap of a billion."""
TICKS = (-2, 0, 3, 6, 9)


@dataclass(frozen=True)
class Gauge:
    """The bar, in pixels."""

    start: float
    width: float
    threshold: float
    passed: bool
    """Whether the statistic has reached the threshold."""
    ticks: list[tuple[float, str]]
    words: str
    """The same in a sentence."""


def gauge(assessed: DriftAssessed) -> Gauge:
    """The bar of an assessment."""
    factor, threshold = assessed.bayes_factor, assessed.threshold
    return Gauge(
        start=LOG.start,
        width=round(_at(factor) - LOG.start, 1),
        threshold=_at(threshold),
        passed=factor >= threshold,
        ticks=[(LOG(tick), f"{10.0**tick:,.0f}" if tick >= 0 else f"{10.0**tick:g}") for tick in TICKS],
        words=f"The scores speak {odds(factor)} to 1 for drift; it is declared from {odds(threshold)} to 1 on.",
    )


def _at(factor: float) -> float:
    return LOG(min(LOG.high, max(LOG.low, math.log10(max(factor, 1e-9)))))
