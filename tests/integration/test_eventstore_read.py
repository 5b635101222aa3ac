"""Reading: filters, pages, the plan of the real queries, campaigns, and waking up."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from eventstore import read
from eventstore.batch import uuid7
from eventstore.effect import Append
from eventstore.sql import QUERIES
from schemas.advisor import AdvisorFailed
from schemas.envelope import Envelope
from schemas.events import CampaignPaused, CampaignStarted, CampaignStopped
from tests.conftest import Stores


def advice(campaign: str, message: str = "m") -> Append:
    return Append(campaign, f"{campaign}/advice", AdvisorFailed(error="E", message=message))


async def test_reading_pages_over_the_whole_log(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = await stores("policy")
    before = await policy.head()
    written = await policy.append([advice("pages", str(n)) for n in range(7)])
    monkeypatch.setattr(read, "PAGE", 3)
    assert [event async for event in policy.read(after=before)] == written
    for limit in (0, 1, 3, 5, 6, 100):
        assert [event async for event in policy.read(after=before, limit=limit)] == written[:limit]


async def test_reading_by_campaign_and_type(stores: Stores, started: CampaignStarted) -> None:
    policy, console = await stores("policy"), await stores("console")
    (start,) = await console.append([Append("mine", "mine", started)])
    (other, mine) = await policy.append([advice("other"), advice("mine")])

    async def found(**wanted: Any) -> list[Envelope]:
        return [event async for event in policy.read(after=start.sequence - 1, **wanted)]

    assert await found(campaign="mine") == [start, mine]
    assert await found(types=["AdvisorFailed"]) == [other, mine]
    assert await found(campaign="mine", types=["AdvisorFailed"]) == [mine]
    assert await found(campaign="nobody's") == []
    assert await found(types=[]) == []
    assert await found(stream="other/advice") == [other]
    assert await found(stream="other/advice", campaign="mine") == []


async def test_an_unknown_event_is_none(stores: Stores) -> None:
    policy = await stores("policy")
    (event,) = await policy.append([advice("known")])
    assert await policy.get(event.id) == event
    assert await policy.get(uuid7()) is None


async def test_campaigns_are_listed_with_how_they_ended(stores: Stores, started: CampaignStarted) -> None:
    console = await stores("console")
    known = len(await console.campaigns())
    (one, _) = await console.append([Append("one", "one", started), Append("two", "two", started)])
    await console.append([Append("two", "two", CampaignStopped(by="me", reason="enough"))])
    await console.append([Append("one", "one", CampaignPaused(by="me", reason="lunch"))])
    first, second = (await console.campaigns())[known:]
    assert (first.id, first.name, first.started, first.finished) == ("one", "small", one.time, False)
    assert (second.id, second.ending, second.finished) == ("two", "CampaignStopped", True)


LARGE = """
INSERT INTO events
SELECT 1000000 + n, gen_random_uuid(), 'c' || to_char(n / 100, 'FM0000'), 'large', n, 'AdvisorFailed', 1,
       's', NULL, NULL, now(), '{}', ''
FROM generate_series(1, 50000) n
"""


@pytest.mark.parametrize(
    ("query", "more", "index"), [("read_log", (), "events_pkey"), ("read_campaign", ("c0123",), "events_campaign")]
)
async def test_a_page_is_read_by_its_index_without_a_sort(
    stores: Stores, owner: asyncpg.Connection, query: str, more: tuple[str, ...], index: str
) -> None:
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute(LARGE)
    await owner.execute("ANALYZE events")
    rows = await owner.fetch("EXPLAIN " + QUERIES[query], 100, None, 100, *more)
    await transaction.rollback()
    plan = "\n".join(row[0] for row in rows)
    assert f"Index Scan using {index}" in plan
    assert "Sort" not in plan
    assert "Seq Scan" not in plan


async def test_waiting_ends_when_an_event_is_appended(stores: Stores) -> None:
    policy = await stores("policy")
    head = await policy.head()
    waiting = [asyncio.create_task(policy.wait(head, 60)) for _ in range(3)]
    await asyncio.sleep(0.2)
    assert not any(task.done() for task in waiting)
    await policy.append([advice("wake")])
    assert await asyncio.wait_for(asyncio.gather(*waiting), 30) == [True, True, True]


async def test_waiting_for_what_is_there_returns_at_once(stores: Stores) -> None:
    policy = await stores("policy")
    await policy.append([advice("wake")])
    assert await asyncio.wait_for(policy.wait(await policy.head() - 1, 60), 30)


async def test_waiting_ends_without_an_event_too(stores: Stores) -> None:
    policy = await stores("policy")
    assert not await policy.wait(await policy.head(), 0.05)


async def test_waiting_survives_a_lost_session(stores: Stores, owner: asyncpg.Connection) -> None:
    policy = await stores("policy")
    head = await policy.head()
    await policy.wait(head, 0.01)
    await owner.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await asyncio.sleep(0.2)
    waiting = asyncio.create_task(policy.wait(head, 60))
    await asyncio.sleep(0.2)
    await policy.append([advice("again")])
    assert await asyncio.wait_for(waiting, 30)


async def test_payloads_are_json_to_the_database_too(stores: Stores, owner: asyncpg.Connection) -> None:
    (event,) = await (await stores("policy")).append([advice("json", 'quote " and \\ and \u0001')])
    assert json.loads(await owner.fetchval("SELECT data FROM events WHERE id = $1", event.id)) == event.data
