"""Appending. It is the last statement of its transaction, because its lock on the counter row orders all commits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

import asyncpg

from eventstore.effect import Append, Effect
from eventstore.errors import meaningful
from eventstore.ids import uuid7
from eventstore.read import to_envelope
from eventstore.sql import QUERIES
from eventstore.work import queue_work
from schemas.base import canonical_json
from schemas.envelope import Envelope
from schemas.registry import VERSIONS


async def append_events(
    connection: asyncpg.Connection,
    items: Sequence[Append],
    traceparent: str | None = None,
) -> list[Envelope]:
    """Append all items or none, and give them back as recorded.

    Raises `StreamConflict`, `NotAWriter` or, for a cause that is not in the log, `UnknownEvent`.
    """
    if not items:
        return []
    with meaningful():
        rows = await connection.fetch(QUERIES["append_events"], *_columns(items, traceparent))
    return [to_envelope(row) for row in rows]


async def carry_out(connection: asyncpg.Connection, effect: Effect, cause: UUID | None) -> list[Envelope]:
    """Queue an effect's work and append its events, inside the caller's transaction."""
    await queue_work(connection, effect.work, cause)
    return await append_events(connection, caused(effect.events, cause))


def caused(items: Iterable[Append], cause: UUID | None) -> list[Append]:
    """The items with the cause filled in where they name none."""
    return [item if item.causation else replace(item, causation=cause) for item in items]


def _columns(items: Sequence[Append], traceparent: str | None) -> tuple[list[object], ...]:
    """The parallel arrays that `append_events_v1` takes."""
    types = [type(item.event).__name__ for item in items]
    return (
        [uuid7() for _ in items],
        [item.campaign for item in items],
        [item.subject for item in items],
        [item.expected for item in items],
        list(types),
        [VERSIONS[name] for name in types],
        [item.causation for item in items],
        [traceparent for _ in items],
        [canonical_json(item.event) for item in items],
    )
