"""A long log beside a short one: appending, reading and verifying must not slow down as the log grows.

The log is brought in by `import_log` from rows that are made as they are read, so memory stays at one row.
"""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter

from benchmarks.store.appends import BATCH, CALLERS, appended
from benchmarks.store.figures import Figure, interleaved
from benchmarks.store.generated import rows
from benchmarks.store.reads import read
from benchmarks.store.scratch import Scratch, open_store
from eventstore.integrity.log_import import import_log
from eventstore.store import EventStore

Rate = Callable[[EventStore], Awaitable[float]]

SHORT = 100_000
"""Events of the short log."""

TAIL = 50_000
"""Events that are read at the end."""

BYTES_PER_EVENT = 1_000
"""What must be free before it begins: a row and its indexes take 740, what is appended while measuring comes on top."""


class NoRoom(Exception):
    """The disk is too small for the log."""

    def __init__(self, events: int, need: int, free: int) -> None:
        super().__init__(
            f"--events: {events} need about {need / 1e9:.1f} GB below --folder, where {free / 1e9:.1f} GB are free:"
            " name another folder or fewer events"
        )


def require_room(scratch: Scratch, events: int) -> None:
    """Say how much disk the log will take. Raises `NoRoom` where that is not there."""
    need, free = events * BYTES_PER_EVENT, shutil.disk_usage(scratch.folder).free
    if free < need:
        raise NoRoom(events, need, free)
    print(f"{events:,} events take about {need / 1e9:.1f} GB of the {free / 1e9:.1f} GB that are free")


async def measure(scratch: Scratch, events: int) -> list[Figure]:
    """Each rate at the end of the long log, beside the same at the end of the short one."""
    require_room(scratch, events)
    short = scratch.number(SHORT)
    async with await _filled(scratch, events) as long, await _filled(scratch, short) as brief:

        def figure(measure: str, ours: list[float], peer: list[float]) -> Figure:
            return Figure(f"{measure}, {events:,} events", "events/s", ours, peer, f"{short:,} events", at_least=0.8)

        async def beside(measure: str, rate: Rate) -> Figure:
            return figure(measure, *await interleaved(scratch.repetitions, partial(rate, long), partial(rate, brief)))

        return [
            await beside("one event per call", lambda store: appended(store, CALLERS, 1, scratch.seconds)),
            await beside(f"batches of {BATCH}", lambda store: appended(store, 1, BATCH, scratch.seconds)),
            await beside("reading the end", _read_end),
            figure("verifying all", [await _verified(long)], [await _verified(brief)]),
        ]


async def _filled(scratch: Scratch, events: int) -> EventStore:
    """The store of a new log of this length, with nothing left to tidy."""
    dsn = await scratch.log()
    await import_log(dsn, rows(events))
    await scratch.tidy(dsn)
    return await open_store(dsn)


async def _read_end(store: EventStore) -> float:
    return await read(store, max(await store.head() - TAIL, 0))


async def _verified(store: EventStore) -> float:
    """Events per second of a walk along the whole chain."""
    start = perf_counter()
    head = await store.verify({})
    return head.position / (perf_counter() - start)
