"""Guards as a gate: nobody is promoted who was not measured on all of them, or fell too far below the base on one.

The gate compares plain scores with the constitution's bound. It asks for no significance: chance may close it as well,
and a guard with few items closes it more often, so its size is the price of its bound.
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
    """The candidate's."""

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
    """Why the guards forbid to promote a candidate, in words; None where they do not. The base keeps itself."""
    if trial.candidate == BASE or not history.campaign.constitution.guards:
        return None
    if not _measured(history, trial):
        return f"{trial.candidate} was not measured on the guards as the base was"
    found = broken(history, trial)
    return f"{trial.candidate} breaks a guard: {'; '.join(map(str, found))}" if found else None


def _measured(history: History, trial: Trial) -> bool:
    """Whether both have every guard's score; the history keeps none of another stamp than the base's."""
    names = {guard.name for guard in history.campaign.constitution.guards}
    return names <= trial.guards.keys() & history.base.guards.keys()


def _broken(history: History, trial: Trial) -> Iterator[Broken]:
    for guard in history.campaign.constitution.guards:
        base, score = history.base.guards[guard.name].score, trial.guards[guard.name].score
        if round(base - score, DIGITS) > guard.bound:
            yield Broken(guard, base, score)
