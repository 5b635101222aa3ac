"""Whole effects: an event handled, an event appended, a job queued, in one transaction. Each event causes the next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from uuid import uuid4

import asyncpg

from benchmarks.store import payload
from benchmarks.store.appends import CALLERS
from benchmarks.store.figures import Figure, interleaved
from benchmarks.store.scratch import Scratch, open_store
from benchmarks.store.statements import STATEMENTS
from eventstore.batch import uuid7
from eventstore.effect import Effect, Work
from eventstore.store import EventStore
from schemas.base import canonical_json
from schemas.envelope import Envelope

CONSUMER, QUEUE = "trainer", "train"
JOB = {"recipe": "r4s4", "seed": 7}

Caller = Callable[[int, float], Awaitable[int]]
"""(number of the caller, end on the clock of `time.perf_counter`) -> effects it carried out."""


async def measure(scratch: Scratch) -> list[Figure]:
    """The figure."""
    async with (
        await open_store(await scratch.log()) as store,
        asyncpg.create_pool(await scratch.empty(), min_size=CALLERS, max_size=CALLERS) as pool,
    ):
        await pool.execute(STATEMENTS["create_plain"])
        ours, bare = await interleaved(
            scratch.repetitions,
            partial(rate, partial(handle, store), scratch.seconds),
            partial(rate, partial(three_statements, pool), scratch.seconds),
        )
    against = f"three statements in a transaction, {CALLERS} connections, no chain"
    held_back = (
        "the bare statements promise no order, so their commits go side by side; ours are one sequence, with three "
        "foreign keys and ten indexes. Next: do without the foreign keys of what the function has just checked"
    )
    measure = f"whole effects, {CALLERS} callers"
    return [Figure(measure, "effects/s", ours, bare, against, at_least=2, held_back=held_back)]


async def rate(caller: Caller, seconds: float) -> float:
    """Effects per second of all callers."""
    start = time.perf_counter()
    effects = sum(await asyncio.gather(*(caller(number, start + seconds) for number in range(CALLERS))))
    return effects / (time.perf_counter() - start)


async def handle(store: EventStore, number: int, end: float) -> int:
    """A caller of the store."""
    stream, effects = f"{payload.CAMPAIGN}/{number}", 0
    (cause,) = await store.append([payload.item(stream)])
    while time.perf_counter() < end:
        cause = await _next(store, cause, stream)
        effects += 1
    return effects


async def _next(store: EventStore, cause: Envelope, stream: str) -> Envelope:
    work = Work(QUEUE, str(cause.id), payload.CAMPAIGN, JOB)
    appended = await store.handle(CONSUMER, cause, Effect((payload.item(stream),), (work,)))
    assert appended is not None, "an event was handled before it was appended"
    return appended[0]


async def three_statements(pool: asyncpg.Pool, number: int, end: float) -> int:
    """A caller with a connection of its own."""
    stream, effects, cause = f"{payload.CAMPAIGN}/{number}", 0, uuid4()
    job = canonical_json(JOB)
    async with pool.acquire() as connection:
        while time.perf_counter() < end:
            event = uuid7()
            async with connection.transaction():
                await connection.execute(STATEMENTS["plain_claim"], CONSUMER, cause)
                await connection.execute(STATEMENTS["plain_queue"], QUEUE, str(cause), payload.CAMPAIGN, job)
                named = (event, payload.CAMPAIGN, stream, payload.TYPE, cause)
                await connection.execute(STATEMENTS["plain_append"], *named, payload.TEXT)
            cause, effects = event, effects + 1
    return effects
