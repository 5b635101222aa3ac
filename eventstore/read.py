"""Reading. A page is one statement by key, so a reader of a long log holds one page and no transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from eventstore.row import Row, parsed
from eventstore.sql import PAGE_BYTES, QUERIES
from schemas.envelope import Envelope

PAGE = 500
"""Events per statement: ten times as many read a tenth faster and hold ten times the memory."""


@dataclass(frozen=True)
class CampaignSummary:
    """A campaign as the log knows it."""

    id: str
    """Campaign id."""
    name: str
    """Name in its file."""
    started: datetime
    """Time of its start."""
    ending: str | None
    """Type of the event that ended it, or None."""

    @property
    def finished(self) -> bool:
        """Whether it has ended."""
        return self.ending is not None


@dataclass(frozen=True)
class Part:
    """Which events of the log; None for all."""

    campaign: str | None = None
    stream: str | None = None
    types: Sequence[str] | None = None


WHOLE = Part()


def to_envelope(row: Row) -> Envelope:
    """An event as services exchange it."""
    return Envelope(
        id=row.id,
        source=row.source,
        type=row.type,
        subject=row.stream,
        time=row.time,
        version=row.version,
        sequence=row.position,
        stream_version=row.stream_version,
        correlationid=row.campaign,
        causationid=row.causation,
        traceparent=row.traceparent,
        data=parsed(row.data),
    )


def to_envelopes(records: Iterable[Sequence[Any]]) -> list[Envelope]:
    """Whole records of `events` as envelopes."""
    return [to_envelope(Row._make(record)) for record in records]


async def scan(
    session: asyncpg.Pool | asyncpg.Connection, after: int, part: Part = WHOLE, limit: int | None = None
) -> AsyncIterator[Row]:
    """The events of a part of the log after a position, in log order, as recorded."""
    size = PAGE
    while limit is None or limit > 0:
        asked = size if limit is None else min(size, limit)
        page = await page_after(session, after, part, asked)
        for row in page:
            yield row
        if len(page) < asked and not is_cut(page):
            return
        after, size = page[-1].position, next_size(page)
        limit = None if limit is None else limit - len(page)


def next_size(page: Sequence[object], most: int = PAGE) -> int:
    """How many events to ask for after a page: the database measures all of them, also those that it then cuts off."""
    return min(most, 4 * len(page)) if page else most


Read = Callable[[str, int], AsyncIterator[Envelope]]
"""(campaign, position) -> the campaign's events after the position, in log order."""


def reader(session: asyncpg.Pool | asyncpg.Connection) -> Read:
    """Reads campaigns in this session."""

    def read(campaign: str, after: int) -> AsyncIterator[Envelope]:
        return (to_envelope(row) async for row in scan(session, after, Part(campaign)))

    return read


def is_cut(page: Sequence[Row]) -> bool:
    """Whether a page with fewer events than were asked for may have ended for its size, so that more follow."""
    return sum(len(row.data.encode()) for row in page) >= PAGE_BYTES


async def page_after(
    session: asyncpg.Pool | asyncpg.Connection, after: int, part: Part = WHOLE, size: int = PAGE
) -> list[Row]:
    """At most `size` events of a part of the log after a position, as recorded; a page of large ones is cut."""
    return await _select(session, ("read_log", "read_campaign", "read_stream"), after, part, size)


async def page_before(session: asyncpg.Pool | asyncpg.Connection, before: int, part: Part, size: int) -> list[Row]:
    """The same of those before a position, the youngest first."""
    return await _select(session, ("log_before", "campaign_before", "stream_before"), before, part, size)


async def _select(
    session: asyncpg.Pool | asyncpg.Connection, names: tuple[str, str, str], position: int, part: Part, size: int
) -> list[Row]:
    """A page by the statement for the whole log, for a campaign or for a stream."""
    types = None if part.types is None else list(part.types)
    whole, campaign, stream = (QUERIES[name] for name in names)
    if part.stream is not None:
        rows = await session.fetch(stream, position, types, size, part.stream, part.campaign)
    elif part.campaign is not None:
        rows = await session.fetch(campaign, position, types, size, part.campaign)
    else:
        rows = await session.fetch(whole, position, types, size)
    return [Row._make(row) for row in rows]
