"""Recomputes a recorded decision: by the rules that took it, and by the rules in force if these differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from audit.deciders import DECIDES, PARTS, Ruling, decide, ruling
from audit.difference import Difference, completed, differences
from judgement.decisions import ClosedBy
from judgement.history import History
from schemas.base import Frozen, canonical_json
from schemas.envelope import Envelope
from schemas.registry import upcast


@dataclass(frozen=True)
class Recomputed:
    """A decision beside its repetition."""

    envelope: Envelope
    """As recorded."""
    ruling: Ruling
    """The rules that took it."""
    event: Frozen | None
    """As taken again by these; None where it would not be taken, or where they are not known here."""
    today: Frozen | None
    """As today's rules take it."""

    @property
    def is_part(self) -> bool:
        """Whether a part of the event is compared, because the rest is measured."""
        return self.envelope.type in PARTS

    @property
    def recorded(self) -> Any:
        """The payload as today's schema spells it: fields that the recorded one could not have are at their default."""
        if part := PARTS.get(self.envelope.type):
            return part(self.envelope.event).model_dump(mode="json")
        data = upcast(self.envelope.type, self.envelope.version, self.envelope.data)
        return completed(data, self.envelope.event.model_dump(mode="json"))

    @property
    def identical(self) -> bool:
        """Whether both have the same canonical bytes."""
        return self.event is not None and canonical_json(self.event) == canonical_json(self.recorded)

    @property
    def differences(self) -> list[Difference]:
        """Every value that is not the same."""
        return self._against(self.event)

    @property
    def differences_today(self) -> list[Difference]:
        """Every value that today's rules decide otherwise; the number of the rules itself aside."""
        return [leaf for leaf in self._against(self.today) if leaf.path != "basis.rules"]

    def _against(self, event: Frozen | None) -> list[Difference]:
        return list(differences(self.recorded, event.model_dump(mode="json") if event else None))


def state_at(envelopes: Sequence[Envelope], campaign: str, position: int) -> History:
    """The campaign folded up to a position of the log."""
    history = History(campaign)
    for envelope in envelopes:
        if envelope.sequence <= position:
            history.take(envelope)
    return history


def is_decision(envelope: Envelope) -> bool:
    """Whether somebody decided this, and it can be decided again."""
    return envelope.type in DECIDES


def recompute(envelopes: Sequence[Envelope], decision: Envelope) -> Recomputed:
    """Take a decision again on the events up to its basis."""
    return Replayer(envelopes, decision.correlationid).again(decision)


def counterpart(decided: Sequence[Frozen], recorded: Any) -> Frozen | None:
    """The decision of several that corresponds to a recorded one."""
    return next((one for one in decided if type(one) is type(recorded) and _place(one) == _place(recorded)), None)


def _place(event: Any) -> Any:
    """What distinguishes decisions of one type at one state: slot or scope."""
    if scoped := getattr(event, "assessment", None):
        return scoped.scope
    return getattr(event, "slot", getattr(event, "scope", None))


class Replayer:
    """Recomputes a campaign's decisions in log order: each event is folded once, each state is decided once."""

    def __init__(self, envelopes: Sequence[Envelope], campaign: str) -> None:
        self.envelopes, self.campaign = envelopes, campaign
        self._folded = self._fresh()
        self._answers: dict[Ruling, tuple[Frozen, ...]] = {}
        self._state_key: tuple[int, ClosedBy] = (0, "complete")

    def all(self) -> Iterator[Recomputed]:
        """Every decision."""
        return (self.again(envelope) for envelope in self.envelopes if is_decision(envelope))

    def again(self, decision: Envelope) -> Recomputed:
        """One decision, on the events up to its basis."""
        by = ruling(decision.event)
        part = PARTS.get(decision.type)
        recorded = part(decision.event) if part else decision.event
        event = counterpart(self._decided(by, recorded), recorded) if by.available else None
        current = Ruling(by.decider, by.today)
        today = event if by.rules == by.today else counterpart(self._decided(current, recorded), recorded)
        return Recomputed(decision, by, event, today)

    def _decided(self, by: Ruling, recorded: Any) -> tuple[Frozen, ...]:
        """All that these rules decide at the state of a recorded decision; cached until the state changes."""
        position: int = recorded.basis.position
        closed_by: ClosedBy = getattr(recorded, "closed_by", "complete")
        key = position, closed_by
        if self._state_key != key:
            self._state_key, self._answers = key, {}
        if by not in self._answers:
            state = self._state(position)
            # After an event that no service wrote nothing is decided (`History.closed`); no rule expects that state.
            self._answers[by] = () if state.unreadable else decide(by, state, closed_by)
        return self._answers[by]

    def _state(self, position: int) -> History:
        history, rest = self._folded
        if history.position > position:
            self._folded = history, rest = self._fresh()
        while rest and rest[-1].sequence <= position:
            history.take(rest.pop())
        return history

    def _fresh(self) -> tuple[History, list[Envelope]]:
        return History(self.campaign), list(reversed(self.envelopes))
