"""Rows as large as the database takes fill nobody's memory, and hold up nobody: any role can write many of its own."""

from __future__ import annotations

import json

import asyncpg
import pytest

from eventstore.effect import NOTHING
from eventstore.read import page_after
from eventstore.relay import Relay
from eventstore.sql import PAGE_BYTES
from schemas.envelope import Envelope
from services.policy.app import SERVICE as POLICY
from services.runtime.reactor import Reactor
from tests.conftest import Stores

LARGE = 880_000
"""Bytes of an event's text, nearly as many as the database takes."""
EVENTS = 30
COLUMNS = "queue, key, campaign, payload, priority, attempts"
MOST = PAGE_BYTES + 1_000_000

FLOOD = """
SELECT count(*) FROM (SELECT array_agg(g) AS n FROM generate_series(1, $1) g) AS numbers, write_effects_v1(
    ARRAY[NULL]::text[], ARRAY[NULL]::uuid[],
    ARRAY(SELECT 1 FROM unnest(n)), ARRAY(SELECT gen_random_uuid() FROM unnest(n)),
    ARRAY(SELECT $2 FROM unnest(n)), ARRAY(SELECT $2 FROM unnest(n)), ARRAY(SELECT NULL::bigint FROM unnest(n)),
    ARRAY(SELECT $3 FROM unnest(n)), ARRAY(SELECT 1 FROM unnest(n)), ARRAY(SELECT NULL::uuid FROM unnest(n)),
    ARRAY(SELECT NULL FROM unnest(n)), ARRAY(SELECT $4 FROM unnest(n)),
    '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')
"""


async def session(stores: Stores, service: str) -> asyncpg.Connection:
    return await (await stores(service)).connect()


@pytest.fixture
async def flooded(stores: Stores, owner: asyncpg.Connection) -> str:
    """A campaign with many large events of the data service, none of which is one."""
    campaign = "flooded"
    if not await owner.fetchval("SELECT count(*) FROM events WHERE campaign = $1", campaign):
        connection = await session(stores, "data")
        text = json.dumps({"text": "x" * LARGE})
        assert await connection.fetchval(FLOOD, EVENTS, campaign, "DataFailed", text) == EVENTS
        await connection.close()
    return campaign


def size(events: list[Envelope]) -> int:
    return sum(len(json.dumps(event.data)) for event in events)


async def test_a_page_ends_at_its_size_and_a_reading_does_not(stores: Stores, flooded: str) -> None:
    store = await stores("policy")
    connection = await session(stores, "policy")
    page = await page_after(connection, 0)
    await connection.close()
    assert PAGE_BYTES <= sum(len(row.data) for row in page) < MOST
    positions = [row.position async for row in store.scan()]
    assert positions == list(range(1, await store.head() + 1))
    assert len([event async for event in store.read(campaign=flooded, limit=20)]) == 20
    assert len([event async for event in store.read(stream=flooded, campaign=flooded)]) == EVENTS
    assert PAGE_BYTES <= sum(len(row.data) for row in await store.before(2**62)) < MOST
    assert (await store.verify({})).position == await store.head()
    assert len([row async for row in store.rows()]) == await store.head()


async def test_a_service_handles_large_events_a_page_at_a_time(stores: Stores, flooded: str) -> None:
    store = await stores("policy")
    assert PAGE_BYTES <= size(await store.unhandled("policy", ["DataFailed"], 500)) < MOST
    assert await Reactor(POLICY, store).catch_up()
    assert await store.unhandled("policy", ["DataFailed"]) == []


async def test_the_relay_publishes_large_events_a_page_at_a_time(stores: Stores, flooded: str) -> None:
    store, batches = await stores("policy"), list[list[Envelope]]([])
    relay = Relay(store, lambda envelope: _publish(batches, envelope), "large rows")
    connection = await store.connect()
    while relay.position < await store.head():
        batches.append([])
        await relay._step(connection)
    await connection.close()
    assert max(map(size, batches)) < MOST
    assert sum(map(len, batches)) == await store.head()


async def _publish(batches: list[list[Envelope]], envelope: Envelope) -> None:
    batches[-1].append(envelope)


async def test_the_names_of_campaigns_are_cut(stores: Stores) -> None:
    connection = await session(stores, "console")
    start = json.dumps({"campaign": {"name": "x" * LARGE}})
    assert await connection.fetchval(FLOOD, 1, "named", "CampaignStarted", start) == 1
    await connection.close()
    assert max(len(campaign.name) for campaign in await (await stores("policy")).campaigns()) == 100


async def test_a_large_progress_is_cut(stores: Stores) -> None:
    connection = await session(stores, "trainer")
    row = json.dumps({"text": "x" * LARGE})
    insert = "INSERT INTO progress (campaign, subject, data) SELECT 'p', 's' || n, $1 FROM generate_series(1, 10) n"
    await connection.execute(insert, row)
    await connection.execute("INSERT INTO progress (campaign, subject, data) VALUES ('p', 'last', '{\"loss\": 1}')")
    await connection.close()
    progress = await (await stores("console")).progress("p")
    assert progress["last"] == {"loss": 1}
    assert len(json.dumps(progress)) < MOST


async def test_large_overdue_jobs_are_read_a_few_at_a_time(stores: Stores, queue: str) -> None:
    store = await stores("trainer")
    connection = await session(stores, "trainer")
    insert = f"""INSERT INTO work ({COLUMNS}, deadline)
                SELECT $1, n::text, 'c', $2, 0, 1, '2000-01-01Z' FROM generate_series(1, 8) n"""
    await connection.execute(insert, queue, json.dumps({"text": "x" * 3_000_000}))
    await connection.close()
    seen = []
    while jobs := await store.overdue(queue):
        assert len(jobs) <= 2
        for job in jobs:
            await store.reap(job, NOTHING)
            seen.append(job.key)
    assert seen == [str(n) for n in range(1, 9)]


@pytest.mark.parametrize(
    "row",
    [
        "('train', 'a', 'c', json_build_object('x', repeat('x', 8000000)), 0, 1, NULL)",
        "(repeat('q', 101), 'a', 'c', '{}', 0, 1, NULL)",
        "('train', 'a', 'c', '{}', 0, 1, repeat('w', 501))",
    ],
)
async def test_a_job_has_a_bounded_order_queue_and_worker(stores: Stores, row: str) -> None:
    connection = await session(stores, "trainer")
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(f"INSERT INTO work ({COLUMNS}, worker) VALUES {row}")
    await connection.close()


async def test_queues_of_nobody_crowd_out_no_figures(stores: Stores) -> None:
    store = await stores("trainer")
    connection = await session(stores, "trainer")
    await connection.execute(
        f"INSERT INTO work ({COLUMNS}) "
        "SELECT queue, 'k', 'c', '{}', 0, 1 "
        "FROM (SELECT 'a' || generate_series(1, 1000) UNION ALL SELECT 'train') AS queues (queue)"
    )
    await connection.close()
    for statement, most in (("figure_queues", 100), ("queue_ages", 100), ("count_work", 500)):
        rows = await store.ask(statement)
        assert len(rows) <= most
        assert rows[0]["queue"] == "train"


@pytest.mark.parametrize(
    "change", ["UPDATE relay_cursors SET position = {}", "INSERT INTO relay_cursors VALUES ('b', {})"]
)
@pytest.mark.parametrize("position", [-1, 2**62])
async def test_no_cursor_of_a_broker_is_outside_the_log(stores: Stores, change: str, position: int) -> None:
    """Beyond it no relay would publish any more, long after the password is changed."""
    await (await stores("policy")).ask("open_cursor", "a broker")
    connection = await session(stores, "trainer")
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(change.format(position))
    await connection.close()
