"""Appending: one event per call from many callers of one process, and batches from one writer."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from functools import partial

from benchmarks.store import payload
from benchmarks.store import peer_eventsourcing as peer
from benchmarks.store.figures import Figure, interleaved
from benchmarks.store.scratch import Scratch, open_store
from eventstore.store import EventStore

CALLERS = 16
BATCH = 100

FREE_COMMITS = (
    "callers share a commit, so the gain follows the disk (--commit-ms 3 shows it); where a commit is nearly free, "
    "client and server compute (benchmarks.store.cpu). Next: one array of a composite type in place of 21 arrays"
)
WHOLE_ROWS = (
    "the peer sends bytes serialised before, into two indexes; ours serialises, hashes, checks rights, keeps "
    "five indexes and answers with the events. Next: binary COPY in place of arrays"
)


async def appended(store: EventStore, callers: int, batch: int, seconds: float) -> float:
    """Events per second that so many callers append, each to a stream of its own, `batch` at a call."""

    async def call(caller: int) -> int:
        calls, items = 0, [payload.item(f"{payload.CAMPAIGN}/{caller}")] * batch
        while time.perf_counter() < end:
            await store.append(items)
            calls += 1
        return calls

    start = time.perf_counter()
    end = start + seconds
    calls = sum(await asyncio.gather(*map(call, range(callers))))
    return calls * batch / (time.perf_counter() - start)


async def measure(scratch: Scratch) -> list[Figure]:
    """Both figures, each beside both ways of the peer."""
    with ExitStack() as opened:
        peers = [
            opened.enter_context(peer.recorder(await scratch.empty(), functions=functions, connections=CALLERS))
            for functions in peer.NAMES
        ]
        async with await open_store(await scratch.log()) as store:

            async def beside(measure: str, callers: int, batch: int, goal: float, held_back: str) -> list[Figure]:
                amount = (callers, batch, scratch.seconds)
                theirs = [partial(asyncio.to_thread, peer.appended, recorder, *amount) for recorder in peers]
                ours, locked, faster = await interleaved(
                    scratch.repetitions, partial(appended, store, *amount), *theirs
                )
                return [
                    Figure(measure, "events/s", ours, locked, peer.NAMES[False], at_least=goal, held_back=held_back),
                    Figure(measure, "events/s", ours, faster, peer.NAMES[True]),
                ]

            return [
                *await beside(f"one event per call, {CALLERS} callers", CALLERS, 1, 10, FREE_COMMITS),
                *await beside(f"batches of {BATCH}, one writer", 1, BATCH, 2, WHOLE_ROWS),
            ]
