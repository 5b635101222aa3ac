"""A figure: what both sides gave, repetition by repetition, and the goal for the ratio of their medians."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    measure: str
    """What was measured."""
    unit: str
    """Unit of both sides."""
    ours: list[float]
    """Each repetition of the store."""
    peer: list[float]
    """Each repetition of the peer, in the same run."""
    against: str
    """Who the peer is, with the settings that matter."""
    at_least: float | None = None
    """Goal for ours / peer, where more is better."""
    at_most: float | None = None
    """Goal for ours / peer, where less is better."""
    held_back: str | None = None
    """What stands between us and a goal that is missed, and what would come next."""

    @property
    def ratio(self) -> float:
        """Median of ours over median of the peer's."""
        return median(self.ours) / median(self.peer)

    @property
    def goal(self) -> str | None:
        """The goal in words; None where the figure is shown for comparison alone."""
        if self.at_least is not None:
            return f">= {self.at_least:g} x"
        return None if self.at_most is None else f"<= {self.at_most:g} x"

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.at_least is not None:
            return self.ratio >= self.at_least
        return None if self.at_most is None else self.ratio <= self.at_most

    def record(self) -> dict[str, Any]:
        """The figure for the JSON file."""
        medians = {"ours_median": median(self.ours), "peer_median": median(self.peer)}
        return {**vars(self), **medians, "ratio": self.ratio, "goal": self.goal, "met": self.met}


async def interleaved(repetitions: int, *runs: Callable[[], Awaitable[T]]) -> list[list[T]]:
    """Repetitions of each run, taken in turns and each time from the other end, so that no side has the quieter hours.

    Each run is tried once before, unmeasured: connections, plans and caches are warm for all.
    """
    for run in runs:
        await run()
    measured: list[list[T]] = [[] for _ in runs]
    for turn in range(repetitions):
        pairs = list(zip(runs, measured, strict=True))
        for run, values in pairs[:: -1 if turn % 2 else 1]:
            values.append(await run())
    return measured
