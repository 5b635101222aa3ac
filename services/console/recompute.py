"""A recorded decision taken again: the state that it rests on, the decider that took it, and where the two differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from judgement.drift import assess, verdicts
from judgement.history import History
from schemas import events as e
from schemas.base import Frozen, canonical_json
from schemas.envelope import Envelope
from services.policy.core import choose_final, choose_submissions, finish, first_policy, update
from services.recipes.core import propose

Decider = Callable[[History, Any], Frozen | None]


@dataclass(frozen=True)
class Difference:
    """One value that is not the same in two messages."""

    path: str
    """Where it stands, as `policy.axes.2.probabilities.0`."""
    recorded: Any
    """What the log holds; None where it holds nothing."""
    recomputed: Any
    """What came out now."""


@dataclass(frozen=True)
class Recomputed:
    """A decision beside its repetition."""

    envelope: Envelope
    """As recorded."""
    event: Frozen | None
    """As taken again; None where it would not be taken."""

    @property
    def identical(self) -> bool:
        """Whether both have the same canonical bytes."""
        return self.event is not None and canonical_json(self.event) == canonical_json(self.envelope.data)

    @property
    def differences(self) -> list[Difference]:
        """Every value that is not the same."""
        return list(differences(self.envelope.data, self.event.model_dump(mode="json") if self.event else None))


def state_at(envelopes: Iterable[Envelope], campaign: str, position: int) -> History:
    """The campaign folded up to a position of the log."""
    history = History(campaign)
    for envelope in envelopes:
        if envelope.sequence <= position:
            history.take(envelope)
    return history


def is_decision(envelope: Envelope) -> bool:
    """Whether somebody decided this, and it can be decided again."""
    return envelope.type in DECIDERS


def recompute(envelopes: Iterable[Envelope], decision: Envelope) -> Recomputed:
    """Take a decision again on the events up to its basis."""
    event = decision.event
    history = state_at(envelopes, decision.correlationid, event.basis.position)
    return Recomputed(decision, DECIDERS[decision.type](history, event))


def differences(recorded: Any, recomputed: Any, path: str = "") -> Iterator[Difference]:
    """Where two JSON values differ, leaf by leaf."""
    if isinstance(recorded, Mapping) and isinstance(recomputed, Mapping):
        for key in sorted({*recorded, *recomputed}):
            yield from differences(recorded.get(key), recomputed.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(recorded, list) and isinstance(recomputed, list) and len(recorded) == len(recomputed):
        for at, (left, right) in enumerate(zip(recorded, recomputed, strict=True)):
            yield from differences(left, right, f"{path}.{at}".lstrip("."))
    elif recorded != recomputed:
        yield Difference(path, recorded, recomputed)


def _policy(history: History, said: e.PolicyUpdated) -> Frozen:
    return update(history) if said.policy.version else first_policy(history)


def _submissions(history: History, said: e.SubmissionsChosen) -> Frozen:
    return choose_final(history) if said.final else choose_submissions(history, said.round, said.closed_by)


def _proposal(history: History, said: e.RecipeProposed) -> Frozen | None:
    return next((event for event in propose(history) if event.slot == said.slot), None)


def _detected(history: History, said: e.DriftDetected) -> Frozen | None:
    again = verdicts(history, assess(history, said.round))
    found = (v for v in again if isinstance(v, e.DriftDetected))
    return next((v for v in found if v.assessment.scope == said.assessment.scope), None)


def _cleared(history: History, said: e.DriftCleared) -> Frozen | None:
    again = verdicts(history, assess(history, said.round))
    return next((v for v in again if isinstance(v, e.DriftCleared) and v.scope == said.scope), None)


DECIDERS: dict[str, Decider] = {
    "PolicyUpdated": _policy,
    "RecipeProposed": _proposal,
    "SubmissionsChosen": _submissions,
    "DriftAssessed": lambda history, said: assess(history, said.round),
    "DriftDetected": _detected,
    "DriftCleared": _cleared,
    "CampaignFinished": lambda history, _: finish(history),
}
"""Who takes which decision."""
