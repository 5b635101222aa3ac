"""Handling: an event's effect happens once, whole, and the checkpoint follows only what has been handled."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from eventstore.batch import uuid7
from eventstore.effect import NOTHING, Append, Effect, Work
from eventstore.store import EventStore, StreamConflict, UnknownEvent
from schemas.advisor import AdvisorFailed
from schemas.envelope import Envelope
from schemas.events import TrainingStarted
from tests.conftest import Stores

TYPES = ["AdvisorFailed"]
ADVICE = AdvisorFailed(error="E", message="m")


async def causes(stores: Stores, number: int) -> list[Envelope]:
    return await (await stores("policy")).append([Append("h", "h/advice", ADVICE)] * number)


def effect(key: str, expected: int | None = 0) -> Effect:
    event = TrainingStarted(candidate=key, attempt=1, worker="w")
    return Effect((Append("h", f"h/{key}", event, expected=expected),), (Work("train", key, "h", {"candidate": key}),))


async def jobs(store: EventStore, key: str) -> int:
    connection = await store.connect()
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM work WHERE key = $1", key)
        return count
    finally:
        await connection.close()


async def test_an_event_is_handled_once_with_its_whole_effect(stores: Stores) -> None:
    trainer = await stores("trainer")
    (cause,) = await causes(stores, 1)
    assert await trainer.pending("once", cause.id)
    appended = await trainer.handle("once", cause, effect("once"))
    assert appended is not None
    assert [event.causationid for event in appended] == [cause.id]
    assert await trainer.pending("once", cause.id) is None
    head = await trainer.head()
    assert await trainer.handle("once", cause, effect("never")) is None
    assert await trainer.head() == head
    assert (await jobs(trainer, "once"), await jobs(trainer, "never")) == (1, 0)


async def test_two_deliveries_at_once_have_one_effect(stores: Stores) -> None:
    trainer = await stores("trainer")
    (cause,) = await causes(stores, 1)
    outcomes = await asyncio.gather(*(trainer.handle("twice", cause, effect("twice", None)) for _ in range(6)))
    assert sum(outcome is not None for outcome in outcomes) == 1


async def test_each_consumer_handles_for_itself(stores: Stores) -> None:
    trainer = await stores("trainer")
    (cause,) = await causes(stores, 1)
    assert await trainer.handle("first", cause, NOTHING) == []
    assert await trainer.handle("second", cause, NOTHING) == []


async def test_a_rejected_effect_leaves_the_event_unhandled(stores: Stores) -> None:
    trainer = await stores("trainer")
    (cause,) = await causes(stores, 1)
    with pytest.raises(StreamConflict):
        await trainer.handle("rejected", cause, effect("rejected", 7))
    assert await trainer.pending("rejected", cause.id)
    assert await jobs(trainer, "rejected") == 0


async def test_what_is_not_in_the_log_cannot_be_handled(stores: Stores) -> None:
    trainer = await stores("trainer")
    (cause,) = await causes(stores, 1)
    forged = cause.model_copy(update={"id": uuid7()})
    with pytest.raises(UnknownEvent):
        await trainer.handle("forged", forged, effect("forged"))
    assert await jobs(trainer, "forged") == 0


async def test_work_is_queued_once_per_key_and_knows_its_cause(stores: Stores) -> None:
    trainer = await stores("trainer")
    one, two = await causes(stores, 2)
    work = Effect(work=(Work("handled", "same", "h", {"n": 1}),))
    await trainer.handle("work", one, work)
    await trainer.handle("work", two, work)
    job = await trainer.lease("handled", "w", timedelta(minutes=1))
    assert job is not None
    assert (job.payload, job.cause) == ({"n": 1}, one.id)
    assert await trainer.lease("handled", "w", timedelta(minutes=1)) is None


async def test_catching_up_gives_what_was_not_handled_in_order(stores: Stores) -> None:
    trainer = await stores("trainer")
    await trainer.advance("trainer", TYPES)
    earlier = await trainer.unhandled("trainer", TYPES, 1000)
    for event in earlier:
        await trainer.handle("trainer", event, NOTHING)
    events = await causes(stores, 4)
    await trainer.handle("trainer", events[1], NOTHING)
    assert await trainer.unhandled("trainer", TYPES) == [events[0], events[2], events[3]]
    assert await trainer.unhandled("trainer", TYPES, 1) == [events[0]]
    assert await trainer.unhandled("trainer", ["CampaignPaused"]) == []


async def test_a_checkpoint_moves_over_the_contiguous_handled_prefix_alone(stores: Stores) -> None:
    trainer = await stores("trainer")
    consumer = "trainer"
    for event in await trainer.unhandled(consumer, TYPES, 1000):
        await trainer.handle(consumer, event, NOTHING)
    start = await trainer.advance(consumer, TYPES)
    assert start == await trainer.head()

    first, second, third = await causes(stores, 3)
    await trainer.append([Append("h", "h/x", TrainingStarted(candidate="x", attempt=1, worker="w"))])
    await trainer.handle(consumer, first, NOTHING)
    assert await trainer.advance(consumer, TYPES) == first.sequence
    await trainer.handle(consumer, third, NOTHING)
    assert await trainer.advance(consumer, TYPES) == first.sequence
    await trainer.handle(consumer, second, NOTHING)
    assert await trainer.advance(consumer, TYPES) == await trainer.head() == third.sequence + 1
    assert await trainer.unhandled(consumer, TYPES) == []
