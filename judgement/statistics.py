"""Shares, their errors and the plain tests on them: the statistics of scores without a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scipy.special import betaincinv

from schemas.evidence import GapTest
from schemas.policy import Estimate
from schemas.scores import DomainScore, Scores

Z = 1.959963984540054
"""Two-sided 95 % point of the normal distribution."""

GAP_Z = 2.58
"""The gap test fires here: 1.5 % false alarms per round when the best of 8 was picked on the same dev (simulated)."""


def domain_score(correct: int, n: int) -> DomainScore:
    """Share of right answers with its Agresti-Coull standard error: never zero, not even at 0 or n right.

    Agresti and Coull (1998): the share is shrunk with z^2/2 successes in z^2 trials before the error is taken.
    """
    if not 0 <= correct <= n or n < 1:
        raise ValueError(f"correct={correct}, n={n}: need 0 <= correct <= n and n >= 1; recount the receipt")
    return DomainScore(score=correct / n, se=share_error(correct / n, n), n=n)


def share_error(share: float, n: int) -> float:
    """Agresti-Coull standard error of a share of n items."""
    shrunk = (share * n + Z**2 / 2) / (n + Z**2)
    return math.sqrt(shrunk * (1 - shrunk) / (n + Z**2))


def scores(counts: Mapping[str, tuple[int, int]]) -> Scores:
    """Scores from (right, items) per domain; every domain weighs the same, whatever its number of items."""
    if not counts:
        raise ValueError("counts is empty: score at least one domain")
    return combined({name: domain_score(*count) for name, count in counts.items()})


def mean_score(values: Sequence[float]) -> DomainScore:
    """Mean of values within 0 and 1 with its standard error; shares of right answers as in `domain_score`.

    Other values are shrunk likewise, by z^2/2 items at each end, so that equal values do not claim certainty.
    """
    n, total = len(values), math.fsum(values)
    if set(values) <= {0.0, 1.0}:
        return domain_score(round(total), n)
    center = (total + Z**2 / 2) / (n + Z**2)
    square = (math.fsum(value**2 for value in values) + Z**2 / 2) / (n + Z**2)
    return DomainScore(score=total / n, se=math.sqrt(max(0.0, square - center**2) / (n + Z**2)), n=n)


def combined(parts: Mapping[str, DomainScore]) -> Scores:
    """The mean over domains or tasks, each weighing the same."""
    k = len(parts)
    return Scores(
        score=min(1.0, math.fsum(part.score for part in parts.values()) / k),
        se=math.sqrt(math.fsum(part.se**2 for part in parts.values())) / k,
        n=sum(part.n for part in parts.values()),
        domains=dict(parts),
    )


def clopper_pearson(events: int, trials: int) -> tuple[float, float]:
    """Exact two-sided 95 % interval of a rate (Clopper and Pearson 1934); all of [0, 1] without a trial."""
    low = float(betaincinv(events, trials - events + 1, 0.025)) if events else 0.0
    high = float(betaincinv(events + 1, trials - events, 0.975)) if events < trials else 1.0
    return low, high


def probability_positive(gain: Estimate) -> float:
    """P(gain > 0) of a normal estimate; a certain zero is one half."""
    if gain.sd == 0:
        return 0.5 + 0.5 * math.copysign(gain.mean != 0, gain.mean)
    return 0.5 * math.erfc(-gain.mean / gain.sd / math.sqrt(2))


def gap_test(candidate: str, dev: Scores, target: Scores, base: tuple[Scores, Scores] | None = None) -> GapTest:
    """Whether dev exceeds the target by more than chance, beyond the gap of the base (dev, target)."""
    gap, variance = dev.score - target.score, dev.se**2 + target.se**2
    if base:
        gap -= base[0].score - base[1].score
        variance += base[0].se ** 2 + base[1].se ** 2
    z = round(gap / math.sqrt(variance), 6)
    return GapTest(candidate=candidate, z=z, fires=z >= GAP_Z)
