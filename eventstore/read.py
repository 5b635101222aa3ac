"""Reading. A page is one statement by key, so a reader of a long log holds one page and no transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from eventstore.row import Row, parsed
from eventstore.sql import QUERIES
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
    while limit is None or limit > 0:
        page_size = PAGE if limit is None else min(PAGE, limit)
        page = await _page(session, after, part, page_size)
        for record in page:
            yield Row._make(record)
        if len(page) < page_size:
            return
        after = page[-1]["position"]
        limit = None if limit is None else limit - page_size


Read = Callable[[str, int], AsyncIterator[Envelope]]
"""(campaign, position) -> the campaign's events after the position, in log order."""


def reader(session: asyncpg.Pool | asyncpg.Connection) -> Read:
    """Reads campaigns in this session."""

    def read(campaign: str, after: int) -> AsyncIterator[Envelope]:
        return (to_envelope(row) async for row in scan(session, after, Part(campaign)))

    return read


async def _page(
    session: asyncpg.Pool | asyncpg.Connection,
    after: int,
    part: Part,
    size: int,
) -> list[Any]:
    """One page of rows."""
    types = None if part.types is None else list(part.types)
    if part.stream is not None:
        rows = await session.fetch(QUERIES["read_stream"], after, types, size, part.stream, part.campaign)
    elif part.campaign is not None:
        rows = await session.fetch(QUERIES["read_campaign"], after, types, size, part.campaign)
    else:
        rows = await session.fetch(QUERIES["read_log"], after, types, size)
    return list(rows)


async def page_before(session: asyncpg.Pool | asyncpg.Connection, before: int, part: Part, size: int) -> list[Row]:
    """At most `size` events of a part of the log before a position, as recorded, the youngest first."""
    types = None if part.types is None else list(part.types)
    if part.stream is not None:
        rows = await session.fetch(QUERIES["stream_before"], before, types, size, part.stream, part.campaign)
    elif part.campaign is not None:
        rows = await session.fetch(QUERIES["campaign_before"], before, types, size, part.campaign)
    else:
        rows = await session.fetch(QUERIES["log_before"], before, types, size)
    return [Row._make(row) for row in rows]
