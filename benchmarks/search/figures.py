"""A figure of the tables: what both sides gave, and the goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One row."""

    measure: str
    """What was measured."""
    unit: str
    """Unit of both sides."""
    ours: float
    """This project's."""
    interval: tuple[float, float]
    """Its 95 % interval."""
    peer: str
    """The best peer in the same run, or what it is compared with."""
    peer_value: float
    """The peer's."""
    at_most: float | None = None
    """Goal, where less is better."""
    at_least: float | None = None
    """Goal, where more is better."""
    ahead: tuple[float, float] | None = None
    """Mean of peer less ours over the same seeds, and half its 95 % interval."""

    @property
    def ratio(self) -> float:
        """Ours over the peer's; not a number where the peer's is zero."""
        return self.ours / self.peer_value if self.peer_value else float("nan")

    @property
    def goal(self) -> str | None:
        """In words; None where the figure is shown for comparison alone."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return None if self.at_most is None else f"<= {self.at_most:g}"

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none, and where nothing was measured it is not."""
        if self.at_least is not None:
            return self.ours >= self.at_least
        return None if self.at_most is None else self.ours <= self.at_most

    def record(self) -> dict[str, Any]:
        """The row of the JSON file."""
        return {**vars(self), "ratio": self.ratio, "goal": self.goal, "met": self.met}
