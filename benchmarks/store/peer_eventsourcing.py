"""The peer: the PostgreSQL recorder of `eventsourcing`, the most used event store in Python.

It knows two ways to insert. Its default is a pipelined transaction that locks the table, so that a reader misses
nothing, as here. `POSTGRES_ENABLE_DB_FUNCTIONS` makes it one round trip without the lock: faster, and a reader that has
seen notification 2 may find 1 later. The goals are set against the first; the second is shown beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from uuid import UUID, uuid4

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from benchmarks.store import payload

NAMES = {False: "eventsourcing, table lock", True: "eventsourcing, database function"}
"""How each way is called in the figures, by whether it uses the function."""

PAGE = 1000
"""Notifications per statement; more are not faster."""


@contextmanager
def recorder(dsn: str, *, functions: bool, connections: int) -> Iterator[PostgresApplicationRecorder]:
    """A recorder with its table in a database."""
    address = conninfo_to_dict(dsn)
    with PostgresDatastore(
        str(address["dbname"]),
        str(address["host"]),
        5432,
        str(address["user"]),
        str(address["password"]),
        pool_size=connections,
        enable_db_functions=functions,
    ) as datastore:
        peer_recorder = PostgresApplicationRecorder(datastore)
        peer_recorder.create_table()
        yield peer_recorder


def stored(stream: UUID, versions: Iterator[int], number: int) -> list[StoredEvent]:
    """The next events of a stream."""
    return [StoredEvent(stream, next(versions), payload.TYPE, payload.BYTES) for _ in range(number)]


def appended(peer_recorder: PostgresApplicationRecorder, callers: int, batch: int, seconds: float) -> float:
    """Events per second that so many threads append, each to a stream of its own, `batch` at a call."""

    def call(_: int) -> int:
        stream, versions, calls = uuid4(), count(1), 0
        while time.perf_counter() < end:
            peer_recorder.insert_events(stored(stream, versions, batch))
            calls += 1
        return calls

    start = time.perf_counter()
    end = start + seconds
    with ThreadPoolExecutor(callers) as threads:
        calls = sum(threads.map(call, range(callers)))
    return calls * batch / (time.perf_counter() - start)


def selected(peer_recorder: PostgresApplicationRecorder) -> float:
    """Notifications per second that a reader of the whole log gets."""
    start, last, number = time.perf_counter(), 0, 0
    while page := peer_recorder.select_notifications(last + 1, PAGE):
        last, number = page[-1].id, number + len(page)
    return number / (time.perf_counter() - start)
