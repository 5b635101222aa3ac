"""One scope of the drift test: how likely a domain, or all of them, drifts, in which way and from which level on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judgement.drift.posterior import Posterior, mixture
from judgement.search.space import Floats
from schemas.evidence import Contrast, ScopeAssessment
from schemas.policy import Direction, Estimate
from schemas.scores import BASE

ALL = "all"
"""The scope of a drift common to all domains."""

NO_LEVEL = 1.0
"""Level of a blind drift: dev misses gains there, but the gains that it shows still count."""

CAP = 1e9
"""A Bayes factor above it says no more."""


def assess_scope(weighed: Posterior, scope: str) -> ScopeAssessment:
    """The finding in one domain, or in `all`, in which every domain drifts in the same way."""
    common, domains = scope == ALL, weighed.profile.domains
    rows = tuple(range(len(domains))) if common else (domains.index(scope),)
    prior, by_kind = (
        weighed.layout.of_all(held) if common else weighed.layout.of_domain(held, rows[0])
        for held in (weighed.layout.held, weighed.held)
    )
    probability = min(1.0, max(0.0, float(by_kind[1:].sum())))
    seen = observed(weighed, rows)
    direction = _direction(weighed, seen)
    likely = _level(weighed, by_kind)
    inflated = direction == "inflated"
    return ScopeAssessment(
        scope=scope,
        direction=direction,
        bayes_factor=bayes_factor(probability, float(prior[1:].sum())),
        posterior=round(probability, 6),
        level=float(weighed.hyps.level[likely, 0]) if inflated else NO_LEVEL,
        slope=_beyond(weighed, rows, likely) if inflated else weighed.slope(),
        highest_dev=seen.highest(seen.dev),
        highest_target=seen.highest(seen.target),
    )


def bayes_factor(posterior: float, prior: float) -> float:
    """Posterior odds over prior odds, to six significant digits; capped."""
    odds = posterior / max(1.0 - posterior, 1e-15) * (1.0 - prior) / prior
    return float(f"{min(CAP, odds):.6g}")


@dataclass(frozen=True)
class Observed:
    """What the measured candidates gained over the base in a scope (mean of its domains)."""

    candidates: Sequence[str]
    """Names, N of them."""
    dev: Floats
    """Smoothed dev gains, (N,)."""
    target: Floats
    """Target gains, (N,); zeros while the base's target is not known."""

    def highest(self, gains: Floats) -> Contrast | None:
        """The first candidate with the largest of these gains."""
        if not self.candidates:
            return None
        at = int(np.argmax(gains.round(9)))
        dev, target = round(float(self.dev[at]), 6), round(float(self.target[at]), 6)
        return Contrast(candidate=self.candidates[at], dev=dev, target=target)


def observed(weighed: Posterior, rows: Sequence[int]) -> Observed:
    """Gains in the given domains; where the target gives only the total, its gain stands for every domain."""
    names = [name for name in weighed.measured if name != BASE]
    dev = weighed.profile.gains(names).mean[list(rows)].mean(axis=0)
    if BASE not in weighed.measured:
        return Observed(names, dev, np.zeros(len(names)))
    scores = [weighed.profile.target(name, rows) for name in (BASE, *names)]
    return Observed(names, dev, np.array(scores[1:]) - scores[0])


def _direction(weighed: Posterior, seen: Observed) -> Direction:
    """Blind where the target rose by more than dev says, over all measured candidates; inflated where by less."""
    unexplained = (seen.target - weighed.slope().mean * seen.dev).sum()
    return "blind" if round(float(unexplained), 9) > 0 else "inflated"


def _level(weighed: Posterior, by_kind: Floats) -> int:
    """The most probable inflated hypothesis; that of level 0 where recipes explain the target better than any level."""
    inflated = _of(weighed, "inflated")
    if by_kind[_of(weighed, "blind")].sum() > by_kind[inflated].sum():
        return inflated[0]
    return max(inflated, key=lambda h: round(float(by_kind[h]), 9))


def _of(weighed: Posterior, kind: str) -> list[int]:
    return [h for h, said in enumerate(weighed.hyps.kinds) if said == kind]


def _beyond(weighed: Posterior, rows: Sequence[int], likely: int) -> Estimate:
    """Slope beyond the level, over the scope's domains."""
    slopes = [weighed.slope_beyond(row, likely) for row in rows]
    even = np.full(len(slopes), 1 / len(slopes))
    return mixture(even, np.array([s.mean for s in slopes]), np.array([s.sd**2 for s in slopes]))
