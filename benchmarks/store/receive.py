"""`python -m benchmarks.store.receive ours|plain`: says each message's key and when its handler was entered.

It runs until its standard input ends, and finds its servers as a service does, in `AEVOLVE_*`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiokafka import AIOKafkaConsumer

from benchmarks.store import payload
from eventstore.effect import NOTHING
from eventstore.store import EventStore
from schemas.envelope import Envelope
from services.runtime.kafka.broker import FETCH_WAIT_MS, make_broker
from services.runtime.service import Service
from services.runtime.settings import Settings

CONSUMER = "oracle"
"""The service that reacts to a trained checkpoint."""

TOPIC = "plain"
"""The peer's topic."""


def entered(key: str) -> None:
    """Say that a handler has begun."""
    now = time.monotonic_ns()
    sys.stdout.write(f"{key} {now}\n")
    sys.stdout.flush()


@asynccontextmanager
async def ours(settings: Settings) -> AsyncIterator[None]:
    """A service's subscriber, which records each event as handled."""
    async with await EventStore.open(settings.postgres, service=CONSUMER, password=settings.secret()) as store:

        async def handle(envelope: Envelope) -> None:
            entered(str(envelope.id))
            await store.handle(CONSUMER, envelope, NOTHING)

        broker = make_broker(Service(CONSUMER, {payload.TYPE: ()}), settings, handle)
        async with broker:
            await broker.start()
            yield


@asynccontextmanager
async def plain(settings: Settings) -> AsyncIterator[None]:
    """A consumer and nothing else."""
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=settings.kafka,
        group_id=TOPIC,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    async with consumer:
        fetching = asyncio.create_task(_fetch(consumer))
        yield
        fetching.cancel()
        with suppress(asyncio.CancelledError):
            await fetching


async def _fetch(consumer: AIOKafkaConsumer) -> None:
    async for message in consumer:
        entered(message.value[: message.value.index(b" ")].decode())


async def _main(side: str) -> None:
    async with {"ours": ours, "plain": plain}[side](Settings()):
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
