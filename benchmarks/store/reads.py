"""Reading the whole log: as the relay reads it, and with every event validated to its model."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from itertools import count
from uuid import uuid4

from eventsourcing.postgres import PostgresApplicationRecorder

from benchmarks.store import peer_eventsourcing as peer
from benchmarks.store.figures import Figure, interleaved
from benchmarks.store.generated import rows
from benchmarks.store.scratch import Scratch, open_store
from eventstore.integrity.log_import import import_log
from eventstore.store import EventStore

EVENTS = 20_000

COLUMNS = (
    "a row of ours has thirteen columns to decode, the peer's five. Next: one column that holds what a message needs"
)


async def measure(scratch: Scratch) -> list[Figure]:
    """Both figures. The peer's events stay as they are stored, bytes, in both."""
    number, log = scratch.number(EVENTS), await scratch.log()
    await import_log(log, rows(number))
    with peer.recorder(await scratch.empty(), functions=False, connections=1) as recorder:
        fill(recorder, number)
        async with await open_store(log) as store:
            relay, typed, selected = await interleaved(
                scratch.repetitions,
                partial(read, store),
                partial(replayed, store),
                partial(asyncio.to_thread, peer.selected, recorder),
            )
    against = "eventsourcing, select_notifications"
    relayed = Figure("read for the relay", "events/s", relay, selected, against, at_least=5, held_back=COLUMNS)
    unchecked = f"{against}, not validated"
    replay = Figure("typed replay, validated", "events/s", typed, selected, unchecked, at_least=2, held_back=COLUMNS)
    return [relayed, replay]


def fill(recorder: PostgresApplicationRecorder, number: int) -> None:
    """Give the peer as many events."""
    stream, versions = uuid4(), count(1)
    for start in range(0, number, peer.PAGE):
        recorder.insert_events(peer.stored(stream, versions, min(peer.PAGE, number - start)))


async def read(store: EventStore, after: int = 0) -> float:
    """Events per second, as recorded, of a reader from a position to the head."""
    start, number = time.perf_counter(), 0
    async for _ in store.scan(after=after):
        number += 1
    return number / (time.perf_counter() - start)


async def replayed(store: EventStore) -> float:
    """Events per second, as models, of a reader of the whole log."""
    start, number = time.perf_counter(), 0
    async for row in store.scan():
        _ = row.event
        number += 1
    return number / (time.perf_counter() - start)
