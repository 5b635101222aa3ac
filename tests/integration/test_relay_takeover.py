"""The relay's leader is killed: another process publishes within five seconds, and leaves nothing out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaConsumer

from eventstore.effect import Append
from eventstore.store import EventStore
from schemas.advisor import AdvisorFailed
from schemas.envelope import Envelope, topic
from schemas.events import CampaignStarted
from tests.brokers import broker
from tests.cluster import Cluster
from tests.conftest import PASSWORDS, Stores

SERVICES = ("policy", "recipes", "data")
TOPIC = topic("AdvisorFailed")

LEADER = """
SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND datname = current_database()
"""

TAKEOVER_SECONDS = 5.0
"""What the architecture page promises."""


async def test_a_standby_publishes_what_is_appended_after_the_leader_was_killed(
    database: str, owner: asyncpg.Connection, stores: Stores, started: CampaignStarted, tmp_path: Path
) -> None:
    console = await stores("console")
    await console.append([Append("takeover", "takeover", started, expected=0)])
    with broker(tmp_path / "broker") as its_broker:
        cluster = Cluster(tmp_path / "cluster", database, PASSWORDS, its_broker)
        cluster.start(*SERVICES)
        try:
            await leading(owner)  # who leads has declared the topics
            async with hearing(its_broker.address, await write(console, 1)) as consumer:
                for _ in SERVICES[1:]:
                    leader = await leading(owner)
                    cluster.kill(leader)
                    events = await write(console, 3)
                    async with asyncio.timeout(TAKEOVER_SECONDS):
                        await hears(consumer, events)
                    assert await leading(owner) != leader
        finally:
            cluster.stop()


async def write(store: EventStore, number: int) -> list[Envelope]:
    event = Append("takeover", "takeover/advice", AdvisorFailed(error="E", message="m"))
    return await store.append([event] * number)


async def leading(owner: asyncpg.Connection) -> str:
    """The service whose process leads the relay."""
    while not (name := await owner.fetchval(LEADER)):
        await asyncio.sleep(0.02)
    return str(name.partition("/")[2])


@asynccontextmanager
async def hearing(address: str, first: Sequence[Envelope]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of the topic that has heard the first events."""
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        await hears(consumer, first)
        yield consumer
    finally:
        await consumer.stop()


async def hears(consumer: AIOKafkaConsumer, events: Sequence[Envelope]) -> None:
    """Wait until each of the events has come at least once."""
    missing = {str(event.id) for event in events}
    while missing:
        message = await consumer.getone()
        missing.discard(dict(message.headers)["ce_id"].decode())
