"""A batch of effects as the one statement that writes it, and what came of each: every effect stands for itself."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from eventstore.effect import Append, Effect
from eventstore.errors import MAX_EVENT_BYTES, REFUSALS, EventTooLarge
from eventstore.read import to_envelopes
from eventstore.sql import QUERIES
from schemas.base import canonical_json
from schemas.envelope import Envelope
from schemas.registry import VERSIONS

Outcome = list[Envelope] | None | Exception
"""The appended events; None where the event was handled before; or why the effect was refused."""


@dataclass(frozen=True)
class Item:
    """One effect to write, whole or not at all."""

    effect: Effect
    """What is to be done."""
    cause: UUID | None = None
    """The event that led to it; the effect's events and jobs may name others."""
    consumer: str | None = None
    """Who handles the cause with it; None where nobody does."""
    traceparent: str | None = None
    """Trace context of its events; None for that of their causes."""
    ids: tuple[UUID, ...] = field(init=False)
    """Of its events, made once: an item that is written twice is appended once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(event.id or uuid7() for event in self.effect.events))

    @property
    def handled(self) -> UUID | None:
        """The event that counts as handled when this is written."""
        return self.cause if self.consumer else None

    @property
    def size(self) -> int:
        """Rows that it writes, at least one."""
        return max(1, len(self.effect.events) + len(self.effect.work))

    @property
    def keys(self) -> set[object]:
        """What no other item of its batch may have: a repetition must see what came of the first."""
        return {*self.ids, *([(self.consumer, self.cause)] if self.consumer else ())}


class _Event(NamedTuple):
    """One event of a batch."""

    n: int
    """Its effect, counting from 1."""
    id: UUID
    append: Append
    causation: UUID | None
    traceparent: str | None
    data: dict[str, Any]


async def write(connection: asyncpg.Connection, items: Sequence[Item]) -> list[Outcome]:
    """Write a batch in one round trip; the outcomes in its order.

    Raises what the database refuses a whole batch for, such as a job without a campaign; then nothing is written.
    """
    events = [event for n, item in enumerate(items, 1) for event in _events(n, item)]
    rows = await connection.fetch(QUERIES["write_effects"], *_columns(items, events))
    outcomes: list[Outcome] = [[] for _ in items]
    for row in rows:
        if row["refusal"] is None:
            event = events[row["n"] - 1]
            outcomes[event.n - 1].append(_recorded(event, row))
        else:
            outcomes[row["n"] - 1] = await _refused(connection, items[row["n"] - 1], json.loads(row["refusal"]))
    return outcomes


async def _refused(connection: asyncpg.Connection, item: Item, refusal: dict[str, Any]) -> Outcome:
    """What a refusal means to whoever wanted the effect: for a repeated one, what came of it the first time."""
    kind = refusal.pop("kind")
    if kind == "repeated":
        return to_envelopes(await connection.fetch(QUERIES["get_events"], item.ids))
    return REFUSALS[kind](**refusal)


async def write_one(connection: asyncpg.Connection, effect: Effect, cause: UUID | None) -> list[Envelope]:
    """Carry an effect out inside the caller's transaction, which a refusal raised here is to end."""
    if not effect:
        return []
    (outcome,) = await write(connection, [Item(effect, cause)])
    if isinstance(outcome, Exception):
        raise outcome
    assert outcome is not None, "only a consumer's event can have been handled before"
    return outcome


def _events(n: int, item: Item) -> Iterator[_Event]:
    for id_, append in zip(item.ids, item.effect.events, strict=True):
        data = append.event.model_dump(mode="json")
        yield _Event(n, id_, append, append.causation or item.cause, append.traceparent or item.traceparent, data)


def _recorded(event: _Event, row: Any) -> Envelope:
    """An event as it was written."""
    return Envelope(
        id=event.id,
        source=row["source"],
        type=type(event.append.event).__name__,
        subject=event.append.subject,
        time=row["time"],
        version=VERSIONS[type(event.append.event).__name__],
        sequence=row["position"],
        stream_version=row["stream_version"],
        correlationid=event.append.campaign,
        causationid=event.causation,
        traceparent=row["traceparent"],
        data=event.data,
    )


def _columns(items: Sequence[Item], events: Sequence[_Event]) -> Iterator[list[Any]]:
    """The parallel arrays that `write_effects_v1` takes."""
    yield [item.consumer for item in items]
    yield [item.handled for item in items]
    types = [type(event.append.event).__name__ for event in events]
    yield [event.n for event in events]
    yield [event.id for event in events]
    yield [event.append.campaign for event in events]
    yield [event.append.subject for event in events]
    yield [event.append.expected for event in events]
    yield types
    yield [VERSIONS[name] for name in types]
    yield [event.causation for event in events]
    yield [event.traceparent for event in events]
    yield [_payload(event) for event in events]
    jobs = [(n, item.cause, job) for n, item in enumerate(items, 1) for job in item.effect.work]
    yield [n for n, *_ in jobs]
    yield [job.queue for *_, job in jobs]
    yield [job.key for *_, job in jobs]
    yield [job.campaign for *_, job in jobs]
    yield [canonical_json(job.payload) for *_, job in jobs]
    yield [job.priority for *_, job in jobs]
    yield [job.attempts for *_, job in jobs]
    yield [job.deadline for *_, job in jobs]
    yield [job.cause or cause for _, cause, job in jobs]


def _payload(event: _Event) -> str:
    text = canonical_json(event.data)
    # A character has at most four bytes, so that most events need no encoding to be found small enough.
    if len(text) > MAX_EVENT_BYTES // 4 and (size := len(text.encode())) > MAX_EVENT_BYTES:
        raise EventTooLarge(type(event.append.event).__name__, event.append.campaign, size)
    return text


def uuid7() -> UUID:
    """A new UUIDv7: ids that sort by creation time, so that an index on them grows at its end.

    Spec: RFC 9562 section 5.7, with method 3 of section 6.2: the twelve bits after the milliseconds are their fraction.
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = (nanoseconds << 12) // 1_000_000
    value = milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62)
    return UUID(int=value)
