"""The store as a service sees it: one object, one transaction per method.

How each step is done stands in the modules named like it: `writer`, `read`, `verify`, `work`, `wake`. All of an
effect's rows are written by one transaction. A row of a lease is locked before the log's head, never after it: whoever
holds the head waits for nobody.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import asyncpg

from eventstore.batch import Item, write_one
from eventstore.connect import connect, open_pool
from eventstore.effect import Append, Effect
from eventstore.errors import DISCONNECTED, LeaseLost, NotAWriter, StreamConflict, UnknownEvent
from eventstore.figures import Figures, read_figures
from eventstore.integrity.chain import Chain, Head, read_rows, recorded_head, verify_log, verify_on
from eventstore.read import (
    WHOLE,
    CampaignSummary,
    Part,
    Read,
    page_before,
    reader,
    scan,
    to_envelope,
    to_envelopes,
)
from eventstore.row import Row, parsed
from eventstore.sql import QUERIES
from eventstore.wake import Wake
from eventstore.work import (
    Job,
    end_work,
    heartbeat_work,
    lease_work,
    postpone_work,
    queues,
    reap_work,
    requeue_work,
    to_job,
)
from eventstore.writer import Writer
from schemas.base import canonical_json
from schemas.envelope import Envelope

logger = logging.getLogger(__name__)

__all__ = [
    "DISCONNECTED",
    "CampaignSummary",
    "EventStore",
    "Job",
    "LeaseLost",
    "NotAWriter",
    "Read",
    "StreamConflict",
    "UnknownEvent",
]


async def _silently(job: Job, read: Read) -> Sequence[Append]:
    """A start that no event tells."""
    return ()


class EventStore:
    """The log, the inbox, the work queues and the live progress, as one service's role may use them.

    A lost connection surfaces as one of `DISCONNECTED` from the method at hand; the pool reconnects for the next one.
    """

    def __init__(self, pool: asyncpg.Pool, dsn: str, service: str, password: str | None) -> None:
        self.service = service
        self._pool = pool
        self._dsn, self._password = dsn, password
        self._wake = Wake(self.connect, self.head)
        self._writer = Writer(self.connect)

    @classmethod
    async def open(
        cls, dsn: str, *, service: str, password: str | None = None, min_size: int = 1, max_size: int = 4
    ) -> Self:
        """Log in as the role `aevolve_<service>`, whatever user the DSN names."""
        return cls(await open_pool(dsn, service, password, min_size, max_size), dsn, service, password)

    async def close(self) -> None:
        """Close all sessions, after what runs in them has ended."""
        await self._writer.close()
        await self._wake.close()
        await self._pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> asyncpg.Connection:
        """A session of its own, for what outlasts a transaction; the caller closes it."""
        return await connect(self._dsn, self.service, self._password)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[asyncpg.Connection]:
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection

    # The log

    async def append(self, events: Sequence[Append], traceparent: str | None = None) -> list[Envelope]:
        """Append all events or none. Concurrent calls share a commit, and none fails because of another.

        Without `traceparent` each goes on with the trace of its cause. Events whose ids are in the log already are not
        appended again and come back as recorded. Raises `StreamConflict` where a stream does not have the expected
        version, `NotAWriter` where this service may not write a type, `UnknownEvent` for a cause that is not in the
        log.
        """
        if not events:
            return []
        return await self._writer.write(Item(Effect(tuple(events)), traceparent=traceparent)) or []

    def read(
        self,
        *,
        after: int = 0,
        campaign: str | None = None,
        stream: str | None = None,
        types: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Envelope]:
        """The events after a position in log order: all, or those of a campaign, of a stream, of some types.

        Memory stays at one page however long the log is. `Envelope.event` is the payload as today's model, brought up
        from the version that was written.
        """
        return (to_envelope(row) async for row in self.scan(after, Part(campaign, stream, types), limit))

    def scan(self, after: int = 0, part: Part = WHOLE, limit: int | None = None) -> AsyncIterator[Row]:
        """What `read` gives, as recorded: nothing is parsed but what is asked for (`Row.event`)."""
        return scan(self._pool, after, part, limit)

    async def before(self, position: int, part: Part = WHOLE, limit: int = 100) -> list[Row]:
        """The page of a part of the log that ends before a position, the youngest event first; a large one is cut."""
        return await page_before(self._pool, position, part, limit)

    async def ask(self, query: str, *values: object) -> list[asyncpg.Record]:
        """The rows of a named statement (`sql/*.sql`) about a table beside the log."""
        rows: list[asyncpg.Record] = await self._pool.fetch(QUERIES[query], *values)
        return rows

    async def head(self) -> int:
        """Position of the last event, 0 in an empty log."""
        position: int = await self._pool.fetchval(QUERIES["head"])
        return position

    async def recorded_head(self) -> Head:
        """The last event and its hash, as the counter row has them."""
        return await recorded_head(self._pool)

    def rows(self) -> AsyncIterator[Row]:
        """Every event as recorded, with its hash and the text of its payload, one page in memory."""
        return read_rows(self._pool)

    async def verify(self, anchors: Mapping[int, bytes]) -> Head:
        """Compute the hash chain again and compare it with the head and with anchors (hash by position); the head.

        Raises `ChainBroken` with the first position that is wrong.
        """
        return await verify_log(self._pool, anchors)

    async def verify_on(self, chain: Chain) -> Head:
        """The same from where an earlier look at the log has brought a chain."""
        return await verify_on(self._pool, chain)

    async def end_blockers(self) -> list[asyncpg.Record]:
        """End sessions of services that hold the counter row or block others for over half a minute; those ended."""
        return await self.ask("end_blockers")

    async def figures(self) -> Figures:
        """How far consumers and queues are behind, at this moment."""
        return await read_figures(self._pool)

    async def get(self, event_id: UUID) -> Envelope | None:
        """One event by its id."""
        row = await self._pool.fetchrow(QUERIES["get_event"], event_id)
        return to_envelope(Row._make(row)) if row else None

    async def campaigns(self) -> list[CampaignSummary]:
        """Every campaign, the oldest first."""
        rows = await self._pool.fetch(QUERIES["campaigns"])
        return [CampaignSummary(row["campaign"], row["name"] or "", row["time"], row["ending"]) for row in rows]

    async def wait(self, after: int, timeout: float) -> bool:  # noqa: ASYNC109
        """Sleep until there are events after a position, at most `timeout` seconds; say whether there are."""
        return await self._wake.wait(after, timeout)

    async def apply(self, effect: Effect, cause: UUID | None = None) -> list[Envelope]:
        """Carry out an effect that no handling of an event led to, such as a deadline's. Raises what `append` raises.

        `cause` is the last event that was known when it was decided.
        """
        return await self._writer.write(Item(effect, cause)) or []

    # Handling

    async def handle(self, consumer: str, cause: Envelope, effect: Effect) -> list[Envelope] | None:
        """Record an event as handled together with the whole effect of handling it, in one transaction.

        None, and no effect, where the consumer has handled it before. Raises `UnknownEvent` for an event that is not in
        the log, and what `append` raises.
        """
        return await self._writer.write(Item(effect, cause.id, consumer))

    async def pending(self, consumer: str, event_id: UUID) -> Envelope | None:
        """An event as the log records it, or None where the consumer has handled it.

        Raises `UnknownEvent` for an id that is not in the log.
        """
        row = await self._pool.fetchrow(QUERIES["delivery"], consumer, event_id)
        if row is None:
            raise UnknownEvent(str(event_id))
        *columns, handled = row
        return None if handled else to_envelope(Row._make(columns))

    async def unhandled(self, consumer: str, types: Sequence[str], limit: int = 100, after: int = 0) -> list[Envelope]:
        """The next events of these types after a position that a consumer has not handled, in log order.

        A page of large events ends before `limit`: only an empty one says that none is left.
        """
        rows = await self._pool.fetch(QUERIES["unhandled"], consumer, list(types), limit, after)
        return to_envelopes(rows)

    async def advance(self, consumer: str, types: Sequence[str]) -> int:
        """Move a consumer's checkpoint to just before its first unhandled event of these types, or to the head.

        A consumer that later takes on further types needs a new name, else it never sees their past events.
        """
        position: int = await self._pool.fetchval(QUERIES["advance"], consumer, list(types))
        return position

    # Work

    async def lease(
        self,
        queue: str | Sequence[str],
        worker: str,
        ttl: timedelta,
        started: Callable[[Job, Read], Awaitable[Sequence[Append]]] = _silently,
    ) -> Job | None:
        """Lease the next job for `ttl`, and append what its start is known by in the same transaction.

        The highest priority first, then the oldest; a job whose lease has expired counts as waiting. None where no job
        waits. `started` is given a reader of the log in that transaction: a second session might never be free.

        A row that the database does not let anybody lease is ended as failed: it must not hold up those behind it.
        """
        is_leased = False
        try:
            async with self._transaction() as connection:
                job = await lease_work(connection, queues(queue), worker, ttl)
                is_leased = True
                if job is not None:
                    await write_one(connection, Effect(tuple(await started(job, reader(connection)))), job.cause)
                return job
        except (asyncpg.CheckViolationError, asyncpg.DataError) as error:
            if is_leased:
                raise
            for row in await self._pool.fetch(QUERIES["end_refused_work"], queues(queue)):
                logger.error("job %s of queue %s cannot be leased and has failed: %s", row["key"], row["queue"], error)  # noqa: TRY400
            return None

    async def heartbeat(self, job: Job, ttl: timedelta) -> None:
        """Keep a job for another `ttl` from now. Raises `LeaseLost`."""
        await heartbeat_work(self._pool, job, ttl)

    async def finish(self, job: Job, effect: Effect) -> list[Envelope]:
        """End a job as done, with its effect. Raises `LeaseLost`, and then nothing is written."""
        async with self._transaction() as connection:
            await end_work(connection, job, "done")
            return await write_one(connection, effect, job.cause)

    async def fail(
        self, job: Job, effect: Effect, retry_in: timedelta | None, lost_seconds: float = 0.0
    ) -> list[Envelope]:
        """Give a job back for another try after `retry_in`, or with None end it as failed. Raises `LeaseLost`.

        `lost_seconds` is time of the job's tries that the effect does not charge: the next try's event does.
        """
        async with self._transaction() as connection:
            if retry_in is None:
                await end_work(connection, job, "failed")
            else:
                await requeue_work(connection, job, retry_in, lost_seconds)
            return await write_one(connection, effect, job.cause)

    async def postpone(self, job: Job, pause: timedelta) -> None:
        """Give a job back untried, to be taken again after a pause. Raises `LeaseLost`."""
        await postpone_work(self._pool, job, pause)

    async def release(self, job: Job) -> None:
        """Give a job back untried, for a worker that stops. Nothing happens where the lease is lost already."""
        await self._pool.execute(QUERIES["release_work"], job.id, job.token)

    async def overdue(self, queue: str | Sequence[str]) -> list[Job]:
        """The first open jobs that nobody will end: past their deadline, or their last try has no living lease."""
        return [to_job(row) for row in await self._pool.fetch(QUERIES["overdue_work"], queues(queue))]

    async def reap(self, job: Job, effect: Effect) -> list[Envelope]:
        """End an overdue job as failed. Raises `LeaseLost` where it has moved on since `overdue` saw it."""
        async with self._transaction() as connection:
            await reap_work(connection, job)
            return await write_one(connection, effect, job.cause)

    async def cancel(self, campaign: str) -> int:
        """End all open jobs of a campaign; running ones learn it by `LeaseLost`. The number of jobs ended."""
        return len(await self._pool.fetch(QUERIES["cancel_work"], campaign))

    async def work_counts(self) -> dict[tuple[str, str], int]:
        """Jobs by (queue, state)."""
        return {(row["queue"], row["state"]): row["jobs"] for row in await self._pool.fetch(QUERIES["count_work"])}

    # Progress

    async def set_progress(self, campaign: str, subject: str, data: Mapping[str, Any]) -> None:
        """Overwrite the live progress of a subject, such as a candidate's loss."""
        await self._pool.execute(QUERIES["set_progress"], campaign, subject, canonical_json(dict(data)))

    async def progress(self, campaign: str) -> dict[str, dict[str, Any]]:
        """The live progress of a campaign, by subject."""
        rows = await self._pool.fetch(QUERIES["progress"], campaign)
        return {row["subject"]: parsed(row["data"]) for row in rows}
