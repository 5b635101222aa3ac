"""Walking the log as recorded, page by page by key: a page in memory and no transaction, like any reader."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import asyncpg

from eventstore.chain import EMPTY, Chain, Head
from eventstore.read import PAGE
from eventstore.row import Row
from eventstore.sql import QUERIES

FIRST = -(2**63)
"""The least position that the column can hold: a tamperer is not bound to ours, which begin at 1."""


async def verify_log(session: asyncpg.Pool | asyncpg.Connection, anchors: Mapping[int, bytes]) -> Head:
    """Compute the whole chain again; the head. Raises `ChainBroken` for the first position that is wrong."""
    return await verify_on(session, Chain(anchors))


async def verify_on(session: asyncpg.Pool | asyncpg.Connection, chain: Chain) -> Head:
    """Go on along the log from where the chain stands; the head. Raises `ChainBroken`."""
    start = chain.head.position + 1 if chain.head.position else FIRST
    while True:
        # Read before the page, so that an append in between is never taken for a cut.
        recorded = await recorded_head(session)
        page = await _page(session, start)
        for row in page:
            chain.add(row)
        if not page:
            return chain.end(recorded)
        start = page[-1].position + 1


async def read_rows(session: asyncpg.Pool | asyncpg.Connection) -> AsyncIterator[Row]:
    """Every row in order, as recorded, right or wrong."""
    start = FIRST
    while page := await _page(session, start):
        for row in page:
            yield row
        start = page[-1].position + 1


async def recorded_head(session: asyncpg.Pool | asyncpg.Connection) -> Head:
    """The last event as the counter row has it, committed."""
    row = await session.fetchrow(QUERIES["recorded_head"])
    return Head(row["position"], row["hash"]) if row else EMPTY


async def _page(session: asyncpg.Pool | asyncpg.Connection, start: int) -> list[Row]:
    """One page from a position on. What the rows hold is not validated: the chain judges it."""
    return [Row._make(row) for row in await session.fetch(QUERIES["recorded"], start, PAGE)]
