"""Which version of a decider's rules took a decision, and the same decision by these rules again."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from judgement import decisions
from judgement.deciders import RELEASES, version
from judgement.decisions import ClosedBy, Decider
from judgement.history import History
from schemas.base import Frozen
from services.data import core as data

DATA_RULES: dict[tuple[str, int], Decider] = {("data", 1): lambda history, _: data.decisions(history)}

RULES = ChainMap(decisions.RULES, DATA_RULES)
"""(decider, version of its rules) -> the function that decides."""

DECIDES = {**decisions.DECIDES, "DataBatchReady": "data"}
"""Event type -> its decider."""

PARTS: dict[str, Callable[[Any], Frozen]] = {"DataBatchReady": data.decision_of}
"""Event type -> the decision in such an event, if the rest of it is measured."""


@dataclass(frozen=True)
class Ruling:
    """Which rules took a decision."""

    decider: str
    """A key of `judgement.deciders.RELEASES`."""
    rules: int
    """Their version."""

    @property
    def today(self) -> int:
        """The version in force."""
        return version(self.decider)

    @property
    def available(self) -> bool:
        """Whether this release has them."""
        return (self.decider, self.rules) in RULES

    @property
    def remedy(self) -> str:
        """Which release has them, if this one does not."""
        releases = RELEASES[self.decider]
        if self.rules <= len(releases):
            release = releases[self.rules - 1]
            return f"aevolve {release} has them: `git checkout v{release}` in a clone, then replay again"
        return f"a release after {releases[-1]} wrote this log: `git fetch --tags`, check it out, then replay again"


def ruling(event: Any) -> Ruling:
    """The rules that took a decision, by its own basis."""
    decider = "final" if getattr(event, "final", ()) else DECIDES[type(event).__name__]
    return Ruling(decider, event.basis.rules)


def decide(by: Ruling, history: History, closed_by: ClosedBy) -> tuple[Frozen, ...]:
    """All events that these rules decide at a state; this release has the rules."""
    return tuple(_stamped(event, by.rules) for event in RULES[by.decider, by.rules](history, closed_by))


def _stamped(event: Any, rules: int) -> Frozen:
    """The event with the version of its rules: earlier rules build on functions that stamp the version in force."""
    basis = event.basis.model_copy(update={"rules": rules})
    stamped: Frozen = event.model_copy(update={"basis": basis})
    return stamped
