"""Work leases: each write of a worker filters on the token of its lease, so a job ends once, whoever was late.

The clock is the database's alone; workers with wrong clocks do no harm. `lease_work` in `sql/work.sql` takes over an
expired lease; `services.runtime.jobs.worker` renews one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from eventstore.errors import LeaseLost
from eventstore.row import parsed
from eventstore.sql import QUERIES


@dataclass(frozen=True)
class Job:
    """A queued job as its worker sees it."""

    id: int
    """Row."""
    queue: str
    """Queue."""
    key: str
    """Unique in its queue."""
    campaign: str
    """Campaign id."""
    payload: dict[str, Any]
    """What the worker needs."""
    attempt: int
    """The current try, 1 for the first; 0 before it."""
    attempts: int
    """Tries allowed."""
    token: UUID | None
    """The lease, where there is one."""
    deadline: datetime | None
    """When the job is no longer worth doing."""
    seconds_left: float | None
    """Until the deadline, by the database's clock when this was read; not above 0 where it has passed."""
    cause: UUID | None
    """The event that led to it."""
    lost_seconds: float = 0.0
    """In which earlier tries held its lease and died without a word, at most; not charged to the log yet."""
    traceparent: str | None = None
    """Trace context of that event."""
    age_seconds: float = 0.0
    """Since it was queued, by the database's clock when this was read."""

    @property
    def last_attempt(self) -> bool:
        """Whether no further try is allowed."""
        return self.attempt >= self.attempts


def to_job(row: Any) -> Job:
    """A row of `work` as a job."""
    return Job(
        id=row["id"],
        queue=row["queue"],
        key=row["key"],
        campaign=row["campaign"],
        payload=parsed(row["payload"]),
        attempt=row["attempt"],
        attempts=row["attempts"],
        token=row["token"],
        deadline=row["deadline"],
        seconds_left=row["seconds_left"],
        cause=row["cause"],
        lost_seconds=round(row["lost"], 3),
        traceparent=row["traceparent"],
        age_seconds=row["age"],
    )


def queues(queue: str | Sequence[str]) -> list[str]:
    """One queue or several, as a list."""
    return [queue] if isinstance(queue, str) else list(queue)


async def lease_work(connection: asyncpg.Connection, names: Sequence[str], worker: str, ttl: timedelta) -> Job | None:
    """The next job of these queues, leased under a new token, or None."""
    row = await connection.fetchrow(QUERIES["lease_work"], list(names), worker, uuid4(), ttl)
    return to_job(row) if row else None


async def heartbeat_work(session: asyncpg.Pool, job: Job, ttl: timedelta) -> None:
    """Prolong a lease to `ttl` from now, or raise `LeaseLost`."""
    _check_lease(await session.fetchval(QUERIES["heartbeat_work"], job.id, job.token, ttl), job)


async def end_work(connection: asyncpg.Connection, job: Job, state: str) -> None:
    """End a leased job as `done` or `failed`, or raise `LeaseLost`."""
    _check_lease(await connection.fetchval(QUERIES["end_work"], job.id, job.token, state), job)


async def requeue_work(connection: asyncpg.Connection, job: Job, pause: timedelta, lost_seconds: float) -> None:
    """Give a leased job back for another try after a pause, or raise `LeaseLost`.

    `lost_seconds` is time of its tries that stands in no event; the job's next event charges it.
    """
    _check_lease(await connection.fetchval(QUERIES["requeue_work"], job.id, job.token, pause, lost_seconds), job)


async def postpone_work(session: asyncpg.Pool, job: Job, pause: timedelta) -> None:
    """Give a leased job back untried, to be taken again after a pause, or raise `LeaseLost`."""
    _check_lease(await session.fetchval(QUERIES["postpone_work"], job.id, job.token, pause), job)


async def reap_work(connection: asyncpg.Connection, job: Job) -> None:
    """End an overdue job as failed, or raise `LeaseLost` where it has moved on since it was read."""
    _check_lease(await connection.fetchval(QUERIES["reap_work"], job.id, job.token), job)


def _check_lease(row: object, job: Job) -> None:
    if row is None:
        raise LeaseLost(job.queue, job.key)
