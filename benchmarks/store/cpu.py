"""`python -m benchmarks.store.cpu`: processor time per event, of the client and of the session that it uses.

Unlike the time by the clock it hardly depends on what else a machine does. Linux only: the server's share is read from
`/proc`.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import asyncpg

from benchmarks.store import effects
from benchmarks.store.appends import BATCH, CALLERS, appended
from benchmarks.store.chain_cost import leave_out_hash
from benchmarks.store.scratch import Scratch, open_store
from benchmarks.store.statements import STATEMENTS
from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.store import EventStore

SECONDS = 3.0
HASHES = 100_000

Work = Callable[[EventStore, float], Awaitable[float]]
"""(store, seconds) -> events per second."""


async def one_per_call(store: EventStore, seconds: float) -> float:
    """One event per call."""
    return await appended(store, CALLERS, 1, seconds)


async def batches(store: EventStore, seconds: float) -> float:
    """Batches from one writer."""
    return await appended(store, 1, BATCH, seconds)


async def whole_effects(store: EventStore, seconds: float) -> float:
    """Inbox row, event and job."""
    return await effects.rate(partial(effects.handle, store), seconds)


def session_seconds(pid: int) -> float:
    """Processor time of a server session."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="utf-8").split()[0]) / 1e9


async def shares(dsn: str, work: Work) -> tuple[float, float]:
    """Processor time per event, in µs, of this process and of the session that writes."""
    async with await open_store(dsn) as store:
        await work(store, 0.5)
        pid = await writer_of(dsn)
        client, server, start = time.process_time(), session_seconds(pid), time.perf_counter()
        rate = await work(store, SECONDS)
        events = rate * (time.perf_counter() - start)
        return 1e6 * (time.process_time() - client) / events, 1e6 * (session_seconds(pid) - server) / events


async def writer_of(dsn: str) -> int:
    """The process of the session that wrote last."""
    connection = await asyncpg.connect(dsn)
    try:
        pid: int = await connection.fetchval(STATEMENTS["last_writer"])
        return pid
    finally:
        await connection.close()


async def hash_micros(dsn: str) -> float:
    """Time of one SHA-256 over as many bytes as an event of the benchmark has."""
    connection = await asyncpg.connect(dsn)
    try:
        start = time.perf_counter()
        await connection.fetchval(STATEMENTS["hashes"], HASHES)
        return 1e6 * (time.perf_counter() - start) / HASHES
    finally:
        await connection.close()


async def main() -> None:
    """Print them."""
    with tempfile.TemporaryDirectory(prefix="aevolve-bench-") as place, EmbeddedPostgres(Path(place) / "p") as server:
        scratch = Scratch(server, Path(place), quick=False)
        await scratch.prepare()
        bare = await scratch.log()
        await leave_out_hash(bare)
        for name, dsn, work in (
            (f"one event per call, {CALLERS} callers", await scratch.log(), one_per_call),
            (f"batches of {BATCH}", await scratch.log(), batches),
            (f"batches of {BATCH}, without the hash", bare, batches),
            (f"whole effects, {CALLERS} callers", await scratch.log(), whole_effects),
        ):
            client, session = await shares(dsn, work)
            print(f"{name}: client {client:.1f} µs, server {session:.1f} µs per event")
        print(f"SHA-256 of 640 bytes in the server: {await hash_micros(server.dsn):.2f} µs")


if __name__ == "__main__":
    asyncio.run(main())
