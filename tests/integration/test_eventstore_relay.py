"""The relay: everything in order, one at a time, nothing left out when a leader, a session or a broker goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import asyncpg
import pytest

from eventstore import relay as relay_module
from eventstore.effect import NOTHING, Append
from eventstore.relay import Relay
from eventstore.store import EventStore
from schemas.advisor import AdvisorFailed
from schemas.envelope import Envelope
from tests import background
from tests.conftest import Stores
from tests.processes import PATIENCE


class Topic:
    """A broker that remembers the positions it was sent."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.failures: list[Exception] = []

    @property
    def last(self) -> int:
        return self.positions[-1] if self.positions else 0

    async def publish(self, event: Envelope) -> None:
        if self.failures:
            raise self.failures.pop()
        self.positions.append(event.sequence)
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(relay_module, "STANDBY_SECONDS", 0.05)


@pytest.fixture
async def policy(stores: Stores) -> EventStore:
    return await stores("policy")


async def write(store: EventStore, number: int) -> list[int]:
    event = AdvisorFailed(error="E", message="m")
    return [event.sequence for event in await store.append([Append("r", "r/advice", event)] * number)]


def running(relay: Relay) -> AbstractAsyncContextManager[asyncio.Task[None]]:
    return background.running(relay.run())


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.01)


async def test_the_log_is_published_in_order_in_several_batches(
    policy: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "BATCH", 4)
    await write(policy, 10)
    topic = Topic()
    async with running(Relay(policy, topic.publish, "order")):
        await until(lambda: len(topic.positions) > 9)
        (last,) = await write(policy, 1)
        await until(lambda: topic.last == last)
    assert topic.positions == list(range(1, last + 1))


async def test_one_relay_works_and_another_takes_over(stores: Stores, policy: EventStore) -> None:
    topic = Topic()
    one, two = Relay(policy, topic.publish, "turns"), Relay(await stores("oracle"), topic.publish, "turns")
    async with running(two) as second:
        await until(lambda: two.leading)
        async with running(one):
            await write(policy, 5)
            await until(lambda: two.position == topic.last == len(topic.positions))
            assert not one.leading
            second.cancel()
            await until(lambda: one.leading)
            (last,) = await write(policy, 1)
            await until(lambda: topic.last == last)
    assert topic.positions == list(range(1, last + 1))


async def test_a_leader_that_loses_its_session_goes_on(policy: EventStore, owner: asyncpg.Connection) -> None:
    topic = Topic()
    relay = Relay(policy, topic.publish, "lost")
    async with running(relay):
        (last,) = await write(policy, 1)
        await until(lambda: relay.position == last)
        await owner.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await until(lambda: not relay.leading)
        await until(lambda: relay.leading)
        (last,) = await write(policy, 1)
        await until(lambda: topic.last == last)
    assert sorted(set(topic.positions)) == list(range(1, last + 1))


async def test_a_broker_that_is_away_for_a_moment_gets_all_events(policy: EventStore) -> None:
    (last,) = await write(policy, 1)
    topic = Topic()
    topic.failures = [ConnectionResetError("gone"), LookupError("no leader")]
    async with running(Relay(policy, topic.publish, "away", transient=(LookupError,))):
        await until(lambda: set(topic.positions) == set(range(1, last + 1)))


async def test_any_other_error_of_publishing_ends_the_relay(policy: EventStore) -> None:
    await write(policy, 1)
    topic = Topic()
    topic.failures = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        await Relay(policy, topic.publish, "fatal").run()


async def test_a_new_broker_is_told_from_what_every_consumer_has_handled(policy: EventStore, stores: Stores) -> None:
    await write(policy, 3)
    types = ["AdvisorFailed"]
    for consumer, left in (("policy", 0), ("recipes", 2)):
        store = await stores(consumer)
        events = await store.unhandled(consumer, types, 1000)
        for event in events[: len(events) - left]:
            await store.handle(consumer, event, NOTHING)
        await store.advance(consumer, types)
    head = await policy.head()
    topic = Topic()
    relay = Relay(policy, topic.publish, "new")
    async with running(relay):
        await until(lambda: relay.position == head)
    assert topic.positions == [head - 1, head]
    async with running(Relay(policy, topic.publish, "new")):
        (last,) = await write(policy, 1)
        await until(lambda: topic.last == last)
    assert topic.positions == [head - 1, head, last]


class TooLarge(Exception):
    """What a broker says of a message that it never takes."""


async def test_an_event_that_no_broker_takes_is_buried_and_holds_up_nothing(policy: EventStore) -> None:
    topic, buried = Topic(), []
    positions = await write(policy, 5)

    async def publish(event: Envelope) -> None:
        if event.sequence == positions[2]:
            raise TooLarge("1,100,000 bytes")
        await topic.publish(event)

    async def bury(event: Envelope, error: Exception) -> None:
        buried.append((event.sequence, str(error)))

    relay = Relay(policy, publish, "too large", permanent=(TooLarge,), bury=bury)
    async with running(relay):
        await until(lambda: topic.last == positions[-1])
        later = await write(policy, 1)
        await until(lambda: topic.last == later[0])
    assert [p for p in topic.positions if p in positions] == [*positions[:2], *positions[3:]]
    assert buried == [(positions[2], "1,100,000 bytes")]
