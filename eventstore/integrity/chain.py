"""The hash chain: each event's hash covers the hash before it, so nothing in the log can change without a trace.

The database computes it as it appends (`005_writer.sql` defines the canonical bytes); here it is computed again
without trusting the database, from the rows alone. A hash belongs to a row and not to `schemas.envelope.Envelope`: it
covers the payload's recorded text, which an envelope has parsed, and says nothing to a service that handles an event.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg

from eventstore.read import PAGE, next_size
from eventstore.row import Row
from eventstore.sql import QUERIES

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Head(NamedTuple):
    """The last event."""

    position: int
    hash: bytes


EMPTY = Head(0, bytes(32))
"""The head of a log without events."""


class ChainBroken(Exception):
    """The log is not as it was written, from a position on."""

    def __init__(self, position: int, what: str) -> None:
        super().__init__(f"position {position}: {what}")
        self.position = position


def canonical(row: Row) -> bytes:
    """What is hashed of a row: every attribute with its length before it, so that no two rows have the same bytes."""
    attributes = (*row[:10], (row.time - EPOCH) // MICROSECOND, row.data)
    return "".join(map(_attribute, attributes)).encode()


def _attribute(value: object) -> str:
    if value is None:
        return "-"
    text = str(value)
    return f"{len(text)}:{text}"


def next_hash(previous: bytes, row: Row) -> bytes:
    """The hash of a row that follows one with the hash `previous`."""
    return hashlib.sha256(previous + canonical(row)).digest()


class Chain:
    """A walk along a log from its beginning; it keeps the head alone, so memory does not grow."""

    def __init__(self, anchors: Mapping[int, bytes] | None = None) -> None:
        self.head = EMPTY
        """The last row that was right."""
        self._anchors = anchors or {}
        self._agreed = 0
        """The last position at which an anchor has the same hash."""

    def checked(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows as they come, each after it was found right. Raises `ChainBroken`."""
        for row in rows:
            self.add(row)
            yield row

    def add(self, row: Row) -> None:
        """Check the next row. Raises `ChainBroken` if it is not the row that follows the head."""
        position = self.head.position + 1
        if row.position > position:
            raise ChainBroken(position, f"the event is missing, {row.position} follows")
        if row.position < position:
            raise ChainBroken(position, f"event {row.position} stands in its place")
        computed_hash = next_hash(self.head.hash, row)
        if row.hash != computed_hash:
            raise ChainBroken(position, "the event was altered, inserted or moved: its hash does not fit it")
        if position in self._anchors:
            self._compare(position, computed_hash)
        self.head = Head(position, computed_hash)

    def _compare(self, position: int, computed_hash: bytes) -> None:
        if self._anchors[position] != computed_hash:
            words = f"the log was rewritten somewhere from position {self._agreed + 1} to this event"
            raise ChainBroken(position, f"an anchor has another hash: {words}")
        self._agreed = position

    def end(self, recorded: Head | None = None) -> Head:
        """The head, after the last row. Raises `ChainBroken` if events are missing after it or were added.

        `recorded` is the head in the counter row; a file has none.
        """
        position = self.head.position
        last_position = max([*self._anchors, recorded.position if recorded else 0])
        if position < last_position:
            raise ChainBroken(position + 1, f"the event is missing, {last_position} events were recorded")
        if recorded and position > recorded.position:
            raise ChainBroken(recorded.position + 1, f"the event was inserted, {recorded.position} were recorded")
        if recorded and self.head != recorded:
            raise ChainBroken(position, "the event is not the recorded head: its hash is another")
        return self.head


FIRST = -(2**63)
"""The least position that the column can hold: a tamperer is not bound to ours, which begin at 1."""


async def verify_log(session: asyncpg.Pool | asyncpg.Connection, anchors: Mapping[int, bytes]) -> Head:
    """Compute the whole chain again; the head. Raises `ChainBroken` for the first position that is wrong."""
    return await verify_on(session, Chain(anchors))


async def verify_on(session: asyncpg.Pool | asyncpg.Connection, chain: Chain) -> Head:
    """Go on along the log from where the chain stands; the head. Raises `ChainBroken`."""
    start, size = chain.head.position + 1 if chain.head.position else FIRST, PAGE
    while True:
        # Read before the page, so that an append in between is never taken for a cut.
        recorded = await recorded_head(session)
        page = await _page(session, start, size)
        for row in page:
            chain.add(row)
        if not page:
            return chain.end(recorded)
        start, size = page[-1].position + 1, next_size(page)


async def read_rows(session: asyncpg.Pool | asyncpg.Connection) -> AsyncIterator[Row]:
    """Every row in order, as recorded, right or wrong."""
    start, size = FIRST, PAGE
    while page := await _page(session, start, size):
        for row in page:
            yield row
        start, size = page[-1].position + 1, next_size(page)


async def recorded_head(session: asyncpg.Pool | asyncpg.Connection) -> Head:
    """The last event as the counter row has it, committed."""
    row = await session.fetchrow(QUERIES["recorded_head"])
    return Head(row["position"], row["hash"]) if row else EMPTY


async def _page(session: asyncpg.Pool | asyncpg.Connection, start: int, size: int) -> list[Row]:
    """One page from a position on. What the rows hold is not validated: the chain judges it."""
    return [Row._make(row) for row in await session.fetch(QUERIES["recorded"], start, size)]
