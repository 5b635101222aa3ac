"""How a service's client meets a broker, alone: without the log, without the other services."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from schemas.envelope import Envelope
from schemas.events import CampaignStarted
from services.runtime.kafka.broker import DelayedAssignor, _new_topic, declare_topics, make_broker, publish
from services.runtime.settings import Settings
from tests.brokers import EMBEDDED, broker
from tests.typed import instance

POLICY = importlib.import_module("services.policy.app").SERVICE


def assignors(settings: Settings) -> tuple[type, ...]:
    subscribers: Any = make_broker(POLICY, settings, ignore).subscribers
    (subscriber,) = subscribers
    return instance(tuple, subscriber._connection_args["partition_assignment_strategy"])


async def ignore(envelope: Envelope) -> None: ...


def test_the_patience_for_the_embedded_broker_ends_with_it() -> None:
    assert assignors(Settings(embedded=True)) == (DelayedAssignor,)
    assert assignors(Settings(embedded=False)) == (RoundRobinPartitionAssignor,)


@pytest.mark.parametrize("copies", [-1, 2])
def test_the_broker_chooses_the_copies_of_a_topic_unless_they_are_set(copies: int) -> None:
    assert _new_topic("any", Settings(replication=copies)).replication_factor == copies


def test_several_bootstrap_addresses_are_several() -> None:
    client = make_broker(POLICY, Settings(kafka="one:9092,two:9092"), ignore)
    assert client.specification.url == ["one:9092", "two:9092"]


@pytest.mark.timeout(60)
async def test_a_service_that_comes_late_hears_everything_from_the_earliest_offset(tmp_path, started) -> None:
    with broker(tmp_path) as its_broker:
        settings = Settings(kafka=its_broker.address, embedded=EMBEDDED, partitions=3)
        await declare_topics(settings)
        await declare_topics(settings)  # as the second service does
        events = [envelope(number, started) for number in range(1, 7)]
        async with make_broker(POLICY, settings, ignore) as early:  # connected, and subscribed to nothing
            for event in events:
                await publish(early, event)
        await hears(settings, {event.id for event in events})


def envelope(number: int, event: CampaignStarted) -> Envelope:
    return Envelope(
        id=uuid4(),
        source="aevolve/console",
        type="CampaignStarted",
        subject=f"early-{number}",
        time="2026-01-01T00:00:00Z",
        sequence=number,
        stream_version=1,
        correlationid=f"early-{number}",
        data=event.model_dump(mode="json"),
    )


async def hears(settings: Settings, wanted: set[UUID]) -> None:
    """Start a service and wait until it has heard what is wanted."""
    left, done = set(wanted), asyncio.Event()

    async def hear(event: Envelope) -> None:
        left.discard(event.id)
        if not left:
            done.set()

    late = make_broker(POLICY, settings, hear)
    await late.start()
    try:
        await done.wait()
    finally:
        await late.stop()
