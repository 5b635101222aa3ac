"""Guards as a gate: promotion needs a score on every guard, and none too far below the base's.

The gate compares plain scores with the constitution's bound and requires no significance. Chance may close it as well,
more often for a guard with few items, so a tight bound needs a large guard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from judgement.basis import DIGITS
from judgement.history import History
from judgement.trial import Trial
from schemas.scores import BASE
from schemas.tasks import Guard


@dataclass(frozen=True)
class Broken:
    """A guard that a candidate breaks."""

    guard: Guard
    base: float
    """The base's score."""
    score: float
    """The candidate's score."""

    def __str__(self) -> str:
        fall = 100 * (self.base - self.score)
        return (
            f"{self.guard.name} {100 * self.score:.1f} % against the base's {100 * self.base:.1f} %: "
            f"{fall:.1f} points lower, {100 * self.guard.bound:.1f} are allowed"
        )


def broken(history: History, trial: Trial) -> tuple[Broken, ...]:
    """The guards that a candidate breaks, among those that it and the base were measured on alike."""
    return tuple(_broken(history, trial)) if _measured(history, trial) else ()


def objection(history: History, trial: Trial) -> str | None:
    """Why the guards forbid promoting a candidate; None if they do not. The base is always admitted."""
    if trial.candidate == BASE or not history.campaign.constitution.guards:
        return None
    if not _measured(history, trial):
        return f"{trial.candidate} was not measured on the guards as the base was"
    violations = broken(history, trial)
    return f"{trial.candidate} breaks a guard: {'; '.join(map(str, violations))}" if violations else None


def _measured(history: History, trial: Trial) -> bool:
    """Whether both have every guard's score; the history keeps scores under the base's stamp only."""
    names = {guard.name for guard in history.campaign.constitution.guards}
    return names <= trial.guards.keys() & history.base.guards.keys()


def _broken(history: History, trial: Trial) -> Iterator[Broken]:
    for guard in history.campaign.constitution.guards:
        base, score = history.base.guards[guard.name].score, trial.guards[guard.name].score
        if round(base - score, DIGITS) > guard.bound:
            yield Broken(guard, base, score)
