"""What the store costs in what can be counted, and so never depends on the machine: round trips and write-ahead log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
import yaml

from eventstore.effect import Append, Effect, Work
from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.store import EventStore
from schemas.events import TrainingFailed
from schemas.scores import Cost
from tests.conftest import PASSWORDS
from tests.round_trips import RoundTrips
from tests.wal import written

ALLOWED = yaml.safe_load(Path(__file__).with_name("store_counters.yaml").read_text())

TIMES = 7
"""How often each is counted. The least is taken: it is without what comes now and then, such as splitting a page."""

FAILED = TrainingFailed(candidate="c", attempt=1, error="E", message="m" * 240, terminal=True, cost=Cost())
ITEM = Append("c", "c/r1s0", FAILED)

Act = Callable[[], Awaitable[object]]


@pytest.fixture
async def proxy(postgres: EmbeddedPostgres) -> AsyncIterator[RoundTrips]:
    async with RoundTrips(postgres.host) as counting:
        yield counting


@pytest.fixture
async def store(proxy: RoundTrips, database: str) -> AsyncIterator[EventStore]:
    dsn = proxy.dsn(database.partition("?")[0].rpartition("/")[2])
    async with await EventStore.open(dsn, service="trainer", password=PASSWORDS["trainer"]) as opened:
        yield opened


@pytest.fixture
async def acts(store: EventStore) -> dict[str, Act]:
    """What is counted, by its name in the table."""
    causes = iter(await store.append([ITEM] * 500))

    def append(number: int) -> Awaitable[object]:
        return store.append([ITEM] * number)

    def effect() -> Awaitable[object]:
        cause = next(causes)
        return store.handle("trainer", cause, Effect((ITEM,), (Work("train", str(cause.id), "c", {}),)))

    async def read() -> None:
        assert len([event async for event in store.read(limit=500)]) == 500

    return {
        "append of 1": lambda: append(1),
        "append of 100": lambda: append(100),
        "effect": effect,
        "16 concurrent appends of 1": lambda: asyncio.gather(*(append(1) for _ in range(16))),
        "16 concurrent effects": lambda: asyncio.gather(*(effect() for _ in range(16))),
        "read of 500": read,
    }


@pytest.mark.parametrize("name", ALLOWED["round_trips"])
async def test_round_trips_do_not_grow(proxy: RoundTrips, acts: dict[str, Act], name: str) -> None:
    taken = []
    for _ in range(TIMES):  # the first teach each session the statements
        before = proxy.count
        await acts[name]()
        taken.append(proxy.count - before)
    assert 0 < min(taken) <= ALLOWED["round_trips"][name], taken


@pytest.mark.parametrize("name", ALLOWED["wal_records"])
async def test_the_write_ahead_log_does_not_grow(owner: asyncpg.Connection, acts: dict[str, Act], name: str) -> None:
    taken = [await written(owner, acts[name]) for _ in range(TIMES)]
    assert 0 < min(one.records for one in taken) <= ALLOWED["wal_records"][name], taken
    assert min(one.size for one in taken) <= ALLOWED["wal_bytes"][name], taken
