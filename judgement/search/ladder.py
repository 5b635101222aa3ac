"""When a score of the target may be announced as a new best: only where it climbs a whole step above the last one.

Whoever watches a board changes course by its leader, and chance alone makes new leaders. The Ladder (Blum and Hardt
2015, arXiv 1502.04585) releases a score only if it beats the best so far by more than the noise; the step here is the
standard error of the difference.
"""

from __future__ import annotations

import math

from judgement.basis import DIGITS
from judgement.history import History
from judgement.trial import Trial
from schemas.policy import Best
from schemas.scores import Scores


def best(history: History) -> Best | None:
    """The best to announce now: the last one, unless a score climbs a step above it. None without the base's score."""
    if "external" not in history.base.scores:
        return None
    last = history.policy.best if history.policy else None
    reference = history.trials[last.candidate] if last else history.base
    highest = max(_comparable(history), key=lambda t: round(t.scores["external"].score, DIGITS))
    leader = highest if climbs(highest.scores["external"], reference.scores["external"]) else reference
    scores = leader.scores["external"]
    return Best(candidate=leader.candidate, score=round(scores.score, DIGITS), se=round(scores.se, DIGITS))


def _comparable(history: History) -> list[Trial]:
    """The base and what was measured as it was (design rule 4)."""
    stamp = history.base.stamps.get("external")
    return [t for t in history.measured("external") if t.stamps.get("external") == stamp]


def climbs(score: Scores, best_: Scores) -> bool:
    """Whether a score beats the best by at least the standard error of their difference."""
    return round(score.score - best_.score, DIGITS) >= round(step(score, best_), DIGITS)


def step(score: Scores, best_: Scores) -> float:
    """What a new best must gain, in accuracy."""
    return math.hypot(score.se, best_.se)
