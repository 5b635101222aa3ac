"""The tables whose content follows from the log, rebuilt in a scratch schema and compared with the live ones.

All of it is seen at one snapshot, so work in progress raises no alarm: what one transaction writes is there whole or
not at all. Not compared are `progress` and `relay_cursors`, workers, tokens and times of leases: no event speaks of
them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from eventstore.effect import Work
from eventstore.sql import QUERIES
from schemas.base import canonical_json

COMPARISONS = ("compare_head", "compare_inbox", "compare_checkpoints")


@dataclass(frozen=True)
class Rebuilt:
    """One job as the log has it."""

    work: Work
    """As its service's step queues it."""
    consumer: str
    """The service."""
    states: tuple[str, ...]
    """The states that the log allows."""
    tries: tuple[int, int]
    """Minimum and maximum number of tries."""
    logged_at: datetime | None
    """When the log first mentions it; None if it does not."""
    due: bool
    """Whether it must be queued at the end of the log."""


@dataclass(frozen=True)
class Deviation:
    """One value of a live projection that does not follow from the log."""

    projection: str
    """Table."""
    row: str
    """Which row, in words."""
    field: str
    """Column, or `row` for one that is missing or too many."""
    live: str | None
    """What the live table holds; None where it has no such row or value."""
    log: str | None
    """What follows from the log."""


@asynccontextmanager
async def snapshot(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """A view of everything at one moment, with empty scratch tables; nothing of it stays."""
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        await connection.execute(QUERIES["keep_snapshot"])
        await connection.execute(QUERIES["scratch_projections"])
        yield
    finally:
        await transaction.rollback()


async def compare(
    connection: asyncpg.Connection,
    consumers: Mapping[str, Sequence[str]],
    jobs: Iterable[Rebuilt],
    by_hand: Sequence[str],
) -> list[Deviation]:
    """Everything in which the live projections differ from the rebuilt ones, inside a `snapshot`.

    `consumers` are the types that each handles, `by_hand` the campaigns whose jobs the log cannot tell.
    """
    types = [(consumer, type_) for consumer, handled in consumers.items() for type_ in handled]
    await connection.copy_records_to_table("rebuilt_consumers", records=types)
    await connection.executemany(QUERIES["add_rebuilt_work"], map(_row, jobs))
    rows = [row for name in COMPARISONS for row in await connection.fetch(QUERIES[name])]
    rows += await connection.fetch(QUERIES["compare_work"], list(by_hand))
    return [Deviation(**row) for row in rows]


async def sizes(connection: asyncpg.Connection) -> dict[str, int]:
    """Rows of each projection."""
    return dict(await connection.fetchrow(QUERIES["count_projections"]))


def _row(job: Rebuilt) -> tuple[object, ...]:
    work = job.work
    queued = (work.queue, work.key, job.consumer, work.campaign, canonical_json(work.payload))
    return (*queued, work.priority, work.attempts, work.deadline, list(job.states), *job.tries, job.logged_at, job.due)
