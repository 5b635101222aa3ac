"""Who takes which decision, by which version of its rules: what an audit calls again.

Old rules stay here beside today's for as long as logs that they decided are to be replayed by this release.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from judgement.deciders import RELEASES, version
from judgement.drift.assess import assess, verdicts
from judgement.history import History
from schemas.base import Frozen
from services.policy.core import choose_final, choose_submissions, finish, first_policy, update
from services.recipes.advice import weighed
from services.recipes.core import propose

Closed = Literal["complete", "deadline"]
Decider = Callable[[History, Closed], tuple[Frozen, ...]]
"""(history, what ended the round: a recorded fact that no state tells) -> all that is decided at this state."""

DECIDES = {
    "RecipeProposed": "propose",
    "AdviceWeighed": "propose",
    "SubmissionsChosen": "submissions",
    "DriftAssessed": "drift",
    "DriftDetected": "drift",
    "DriftCleared": "drift",
    "PolicyUpdated": "policy",
    "CampaignFinished": "finish",
}
"""Decision -> its decider; the choice of the final set has one of its own."""


def _drift(history: History, _: Closed) -> tuple[Frozen, ...]:
    assessed = assess(history, history.round)
    return (assessed, *verdicts(history, assessed))


RULES: dict[tuple[str, int], Decider] = {
    ("propose", 3): lambda history, _: (*propose(history), *weighed(history)),
    ("submissions", 1): lambda history, closed: (choose_submissions(history, history.round, closed),),
    ("final", 2): lambda history, _: (choose_final(history),),
    ("drift", 2): _drift,
    ("policy", 2): lambda history, _: (update(history) if history.policies else first_policy(history),),
    ("finish", 1): lambda history, _: (finish(history),),
}
"""(decider, version of its rules) -> the rules."""


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
    def known(self) -> bool:
        """Whether this release has them."""
        return (self.decider, self.rules) in RULES

    @property
    def remedy(self) -> str:
        """Where to get them, if not here."""
        releases = RELEASES[self.decider]
        if self.rules <= len(releases):
            return f"install aevolve {releases[self.rules - 1]}, which has them, and replay again"
        return f"install the release that wrote this log, newer than aevolve {releases[-1]}, and replay again"


def ruling(event: Any) -> Ruling:
    """The rules that took a decision, as it says itself."""
    decider = "final" if getattr(event, "final", ()) else DECIDES[type(event).__name__]
    return Ruling(decider, event.basis.rules)


def decide(by: Ruling, history: History, closed_by: Closed) -> tuple[Frozen, ...]:
    """All that these rules decide at a state. They are known; each decision says that it was they."""
    return tuple(_stamped(event, by.rules) for event in RULES[by.decider, by.rules](history, closed_by))


def _stamped(event: Any, rules: int) -> Frozen:
    """What old rules build on stamps the version in force."""
    basis = event.basis.model_copy(update={"rules": rules})
    stamped: Frozen = event.model_copy(update={"basis": basis})
    return stamped
