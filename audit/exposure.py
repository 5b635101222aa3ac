"""The exposure ledger: every query of a hidden set, in the order in which it was charged, and what came of it.

Each look at a set gives a little of it away, whoever looked and whatever the answer was; so a failed query counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from audit.narrate import accuracy
from schemas import events as e
from schemas.envelope import Envelope
from schemas.scores import Kind
from schemas.suites import SETS


@dataclass(frozen=True)
class Exposure:
    """One query."""

    kind: Kind
    """The set: `external` or `final`."""
    number: int
    """Which query of this set in the campaign."""
    left: int
    """Queries of this set left after it."""
    candidate: str
    """About whom."""
    round: int
    """The round that asked; 0 for the base at the start."""
    charged: datetime
    """When it was charged."""
    state: str
    """`pending`, `answered`, `late` (answered when its round had been assessed) or `failed`; all are charged."""
    ended: datetime | None = None
    """When the answer or the last failure came."""
    said: str = ""
    """The score, or the class of the failure."""


def exposures(envelopes: Iterable[Envelope]) -> list[Exposure]:
    """The ledger of one campaign."""
    ends: dict[tuple[str, str], Envelope] = {}
    charged: list[Envelope] = []
    assessed: dict[int, int] = {}
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, e.SubmissionReserved):
            charged.append(envelope)
        elif isinstance(event, e.DriftAssessed):
            assessed.setdefault(event.round, envelope.sequence)
        elif isinstance(event, e.ScoresReported) or (isinstance(event, e.EvaluationFailed) and event.terminal):
            ends.setdefault((event.kind, event.candidate), envelope)
    return [_exposure(one, ends, assessed) for one in charged]


def _exposure(charged: Envelope, ends: dict[tuple[str, str], Envelope], assessed: dict[int, int]) -> Exposure:
    query: e.SubmissionReserved = charged.event
    end = ends.get((query.kind, query.candidate))
    state, result = "pending", ""
    if end and isinstance(end.event, e.EvaluationFailed):
        state, result = "failed", end.event.error
    elif end and isinstance(end.event, e.ScoresReported):
        closed = assessed.get(max(query.round, 1)) if query.kind == "external" else None
        state = "late" if closed and closed < end.sequence else "answered"
        result = accuracy(end.event.scores)
    return Exposure(
        kind=query.kind,
        number=query.number,
        left=query.left,
        candidate=query.candidate,
        round=query.round,
        charged=charged.time,
        state=state,
        ended=end.time if end else None,
        said=result,
    )


def text(campaign: str, ledger: Sequence[Exposure]) -> list[str]:
    """The ledger for a person."""
    if not ledger:
        return [f"{campaign}: no hidden set was asked"]
    lines = []
    for kind in dict.fromkeys(one.kind for one in ledger):
        queries = [one for one in ledger if one.kind == kind]
        pending = sum(one.state == "pending" for one in queries)
        waiting = f", {pending} pending" if pending else ""
        lines.append(f"{campaign} {SETS[kind]}: {len(queries)} asked, {queries[-1].left} left{waiting}")
        lines += [_line(one) for one in queries]
    return lines


def _line(one: Exposure) -> str:
    ended = f"{one.ended.astimezone():%H:%M:%S}" if one.ended else ""
    when = f"{one.charged.astimezone():%Y-%m-%d %H:%M:%S}"
    return (
        f"  {one.number:3}  {when}  round {one.round}  {one.candidate:8}  {one.state:8}  {ended:8}  {one.said}".rstrip()
    )
