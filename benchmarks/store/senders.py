"""The two ways from an event to a message: the store with its relay, and a bare insert followed by a bare produce.

A sender returns when the event is on its way; its result is the key by which the receiver reports it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from benchmarks.store import payload
from benchmarks.store.receive import TOPIC
from benchmarks.store.scratch import open_store
from benchmarks.store.statements import STATEMENTS
from eventstore.batch import uuid7
from eventstore.relay import Relay
from services.runtime.kafka.broker import declare_topics, make_broker, publish
from services.runtime.service import Service
from services.runtime.settings import Settings

Send = Callable[[], Awaitable[str]]

STREAMS = 16


@asynccontextmanager
async def ours(settings: Settings) -> AsyncIterator[Send]:
    """Appends; the relay beside it publishes, as in every service."""
    await declare_topics(settings)
    broker = make_broker(Service("trainer", {"RecipeProposed": ()}), settings, _nothing)
    numbers = count()
    async with await open_store(settings.postgres) as store, broker:
        relay = Relay(store, lambda event: publish(broker, event), settings.incarnation, transient=(KafkaError,))
        relaying = asyncio.create_task(relay.run())

        async def send() -> str:
            (event,) = await store.append([payload.item(f"{payload.CAMPAIGN}/{next(numbers) % STREAMS}")])
            return str(event.id)

        yield send
        relaying.cancel()
        with suppress(asyncio.CancelledError):
            await relaying


@asynccontextmanager
async def plain(settings: Settings, dsn: str) -> AsyncIterator[Send]:
    """Inserts into a table without any guarantee, then produces the same bytes with the same settings."""
    await _declare(settings)
    safe = {"acks": "all", "enable_idempotence": not settings.embedded, "request_timeout_ms": 5_000}
    async with asyncpg.create_pool(dsn, min_size=1, max_size=4) as pool:
        await pool.execute(STATEMENTS["create_plain"])
        async with AIOKafkaProducer(bootstrap_servers=settings.kafka, **safe) as producer:
            numbers = count()

            async def send() -> str:
                key, stream = uuid7(), f"{payload.CAMPAIGN}/{next(numbers) % STREAMS}"
                row = (key, payload.CAMPAIGN, stream, payload.TYPE, None, payload.TEXT)
                await pool.execute(STATEMENTS["plain_append"], *row)
                await producer.send_and_wait(TOPIC, b"%s %s" % (str(key).encode(), payload.BYTES), stream.encode())
                return str(key)

            yield send


async def _declare(settings: Settings) -> None:
    """Make the peer's topic with as many partitions as ours have."""
    if settings.embedded:
        return  # it makes topics on first use
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, settings.partitions, 1)])
    finally:
        await admin.close()


async def _nothing(_: object) -> None:
    """Handle no event: the producing process subscribes to nothing."""
