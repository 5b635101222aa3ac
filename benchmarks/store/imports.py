"""Bringing a log in: `import_log`, which checks every hash, beside a bare COPY of the same rows into the same table."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from benchmarks.store.figures import Figure, interleaved
from benchmarks.store.generated import rows
from benchmarks.store.scratch import Scratch
from eventstore.integrity.log_import import import_log
from eventstore.row import Row

EVENTS = 50_000


async def measure(scratch: Scratch) -> list[Figure]:
    """The figure."""
    log = list(rows(scratch.number(EVENTS)))

    async def ours() -> float:
        return await _rate(scratch, len(log), lambda dsn: import_log(dsn, log))

    async def bare() -> float:
        return await _rate(scratch, len(log), lambda dsn: _copy(dsn, log))

    checked, copied = await interleaved(scratch.repetitions, ours, bare)
    return [Figure("bulk import, chain verified", "events/s", checked, copied, "COPY, nothing verified", at_least=0.6)]


async def _rate(scratch: Scratch, number: int, fill: Callable[[str], Awaitable[object]]) -> float:
    """Events per second of filling a database of its own."""
    dsn = await scratch.log()
    start = time.perf_counter()
    await fill(dsn)
    rate = number / (time.perf_counter() - start)
    await scratch.drop(dsn)
    return rate


async def _copy(dsn: str, records: Sequence[Row]) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.copy_records_to_table("events", schema_name="aevolve", columns=Row._fields, records=records)
    finally:
        await connection.close()
