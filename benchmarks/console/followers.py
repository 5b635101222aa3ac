"""Appending while many follow the live stream, beside appending while nobody does."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.console.served import Served
from benchmarks.store import payload
from benchmarks.store.figures import Figure
from benchmarks.store.scratch import open_store
from eventstore.store import EventStore

FOLLOWERS = 200
PER_SECOND = 20
"""Appends: a fast loop's."""
SECONDS = 5.0
"""Of a repetition; its figure is the mean."""


async def measure(served: Served, dsn: str, repetitions: int) -> list[Figure]:
    """Milliseconds of an append, in turns with and without followers."""
    ours, unfollowed = [], []
    async with await open_store(dsn) as store:
        await appended(store)
        for _ in range(repetitions):
            unfollowed.append(await appended(store))
            async with followed(served, FOLLOWERS):
                ours.append(await appended(store))
    return [Figure(f"an append, {FOLLOWERS} followers", "ms", ours, unfollowed, "no follower", at_most=1.1)]


async def appended(store: EventStore) -> float:
    """Mean milliseconds of an append, at a steady rate."""
    durations = []
    for _ in range(int(SECONDS * PER_SECOND)):
        start = time.perf_counter()
        await store.append([payload.item(f"{payload.CAMPAIGN}/followed")])
        durations.append(time.perf_counter() - start)
        await asyncio.sleep(max(0.0, 1 / PER_SECOND - durations[-1]))
    return 1000 * sum(durations) / len(durations)


@asynccontextmanager
async def followed(served: Served, number: int) -> AsyncIterator[None]:
    """So many who follow, in another process. Raises `AssertionError` where one of them heard nothing."""
    argv = ("-m", "benchmarks.console.crowd", served.address, str(number))
    crowd = await asyncio.create_subprocess_exec(sys.executable, *argv, stdin=PIPE, stdout=PIPE)
    assert crowd.stdout is not None  # it is a pipe
    await crowd.stdout.readline()
    yield
    notified, _ = await crowd.communicate(b"")
    assert int(notified) == number, f"{int(notified)} of {number} followers heard of an event"
