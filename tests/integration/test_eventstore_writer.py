"""The coalescing writer: what is written at the same time shares a commit, and nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore.batch import uuid7
from eventstore.effect import NOTHING, Append, Effect, Work
from eventstore.store import DISCONNECTED, EventStore, NotAWriter, StreamConflict, UnknownEvent
from eventstore.wake import CHANNEL
from schemas.advisor import AdvisorFailed
from schemas.events import TrainingStarted
from tests.conftest import PASSWORDS, Stores
from tests.typed import instance, there


def starting(stream: str, expected: int | None = None, **more: Any) -> Append:
    event = TrainingStarted(candidate="r1s0", attempt=1, worker="w")
    return Append("w", f"w/{stream}", event, expected=expected, **more)


@pytest.fixture
async def statements(trainer: EventStore) -> AsyncIterator[list[str]]:
    """The statements that the writer's session sends."""
    await trainer.append([starting("warm")])
    sent: list[str] = []
    with there(trainer._writer._connection).query_logger(lambda record: sent.append(record.query)):
        yield sent


async def test_what_is_written_at_once_is_one_statement(trainer: EventStore, statements: list[str]) -> None:
    head = await trainer.head()
    appended = await asyncio.gather(*(trainer.append([starting(f"once{n}")]) for n in range(50)))
    assert [event.sequence for (event,) in appended] == list(range(head + 1, head + 51))
    assert len(statements) == 1


async def test_a_batch_notifies_once(trainer: EventStore, owner: asyncpg.Connection) -> None:
    await trainer.append([starting("warm")])
    heard: list[str] = []
    await owner.add_listener(CHANNEL, lambda *told: heard.append(told[-1]))
    await asyncio.gather(*(trainer.append([starting(f"note{n}")]) for n in range(30)))
    await owner.fetchval("SELECT 1")
    assert len(heard) == 1


async def test_what_comes_while_a_batch_is_written_is_the_next_batch(
    trainer: EventStore, statements: list[str]
) -> None:
    first = asyncio.create_task(trainer.append([starting("first")]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(trainer.append([starting(f"other{n}")])) for n in range(20)]
    await asyncio.gather(first, *others)
    assert len(statements) == 2


async def test_a_refused_item_fails_alone(trainer: EventStore, statements: list[str]) -> None:
    await trainer.append([starting("taken")])
    statements.clear()
    head = await trainer.head()
    (cause,) = [uuid7()]
    conflict, forbidden, orphan, *written = await asyncio.gather(
        trainer.append([starting("bystander"), starting("taken", expected=0)]),
        trainer.append([Append("w", "w/advice", AdvisorFailed(error="E", message="m"))]),
        trainer.append([starting("orphan", causation=cause)]),
        *(trainer.append([starting(f"mate{n}", expected=0)]) for n in range(5)),
        return_exceptions=True,
    )
    assert isinstance(conflict, StreamConflict)
    assert (conflict.stream, conflict.expected, conflict.actual) == ("w/taken", 0, 1)
    assert isinstance(forbidden, NotAWriter)
    assert isinstance(orphan, UnknownEvent)
    assert orphan.event == str(cause)
    assert [event.sequence for (event,) in (instance(list, one) for one in written)] == list(range(head + 1, head + 6))
    assert len(statements) == 1


async def test_what_no_statement_can_hold_fails_alone_too(trainer: EventStore) -> None:
    bad = Append("w", "nul\0", TrainingStarted(candidate="r1s0", attempt=1, worker="w"))
    huge = starting("huge", expected=2**70)
    broken, too_large, written = await asyncio.gather(
        trainer.append([bad]), trainer.append([huge]), trainer.append([starting("fine")]), return_exceptions=True
    )
    assert isinstance(broken, asyncpg.CharacterNotInRepertoireError)
    assert isinstance(too_large, asyncpg.DataError)
    assert [event.subject for event in instance(list, written)] == ["w/fine"]


async def test_of_items_that_expect_the_same_version_the_first_wins(trainer: EventStore) -> None:
    outcomes = await asyncio.gather(
        *(trainer.append([starting("duel", expected=0)]) for _ in range(4)), return_exceptions=True
    )
    assert isinstance(outcomes[0], list)
    assert [type(outcome) for outcome in outcomes[1:]] == [StreamConflict] * 3


async def test_a_refused_item_does_not_count_for_those_behind_it(trainer: EventStore) -> None:
    lost, won = await asyncio.gather(
        trainer.append([starting("gone", expected=0), starting("elsewhere", expected=9)]),
        trainer.append([starting("gone", expected=0)]),
        return_exceptions=True,
    )
    assert isinstance(lost, StreamConflict)
    assert [event.stream_version for event in instance(list, won)] == [1]


async def test_a_repeated_id_changes_nothing_and_gives_the_first_position(trainer: EventStore) -> None:
    again = [starting("repeat", expected=0, id=uuid7()), starting("repeat", id=uuid7())]
    first = await trainer.append(again)
    head = await trainer.head()
    assert await trainer.append(again) == first
    second, third = await asyncio.gather(trainer.append(again), trainer.append(again))
    assert second == third == first
    assert await trainer.head() == head


async def test_the_same_ids_twice_at_the_same_time_are_appended_once(trainer: EventStore) -> None:
    again = [starting("twin", id=uuid7())]
    first, second = await asyncio.gather(trainer.append(again), trainer.append(again))
    assert first == second
    assert first[0].stream_version == 1


async def test_a_whole_effect_is_one_round_trip(trainer: EventStore, stores: Stores, statements: list[str]) -> None:
    policy = await stores("policy")
    causes = await policy.append([Append("w", "w/advice", AdvisorFailed(error="E", message="m"))] * 16)
    work = [Effect((starting(f"e{n}", expected=0),), (Work("w", f"e{n}", "w", {}),)) for n in range(16)]
    handled = await asyncio.gather(*(trainer.handle("w", c, e) for c, e in zip(causes, work, strict=True)))
    assert [event.causationid for (event,) in map(there, handled)] == [cause.id for cause in causes]
    assert len(statements) == 1
    assert [await trainer.handle("w", cause, NOTHING) for cause in causes] == [None] * 16


async def test_a_job_caused_by_nothing_known_is_refused(trainer: EventStore) -> None:
    job = Work("w", "orphan", "w", {}, cause=uuid7())
    with pytest.raises(UnknownEvent):
        await trainer.apply(Effect((starting("jobless"),), (job,)))
    assert [e async for e in trainer.read(stream="w/jobless")] == []


async def test_a_role_without_the_right_queues_no_work(stores: Stores) -> None:
    policy = await stores("policy")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await policy.apply(Effect(work=(Work("w", "forbidden", "w", {}),)))


async def test_a_job_that_another_session_changes_is_not_waited_for(trainer: EventStore, owner: asyncpg.Connection):
    job = Effect(work=(Work("w", "held", "w", {}),))
    await trainer.apply(job)
    async with owner.transaction():
        await owner.execute("UPDATE work SET priority = 1 WHERE key = 'held'")
        await asyncio.wait_for(trainer.apply(job), 5)


async def test_a_cancelled_caller_stops_nobody(trainer: EventStore) -> None:
    tasks = [asyncio.create_task(trainer.append([starting(f"cancel{n}")])) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    first, cancelled, third = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert instance(list, third)[0].sequence > instance(list, first)[0].sequence


async def test_closing_writes_what_waits(database: str) -> None:
    async with await EventStore.open(database, service="trainer", password=PASSWORDS["trainer"]) as store:
        task = asyncio.create_task(store.append([starting("last")]))
        await asyncio.sleep(0)
    (event,) = await task
    assert event.subject == "w/last"


async def test_after_a_lost_session_the_same_items_are_written_once(trainer: EventStore, owner: asyncpg.Connection):
    items = [starting("lost", id=uuid7())]
    pid = await there(trainer._writer._connection).fetchval("SELECT pg_backend_pid()")
    async with owner.transaction():
        await owner.execute("SELECT FROM log_head FOR UPDATE")
        waiting = asyncio.create_task(trainer.append(items))
        await asyncio.sleep(0.2)
        await owner.execute("SELECT pg_terminate_backend($1)", pid)
        with pytest.raises(DISCONNECTED):
            await waiting
    first = await trainer.append(items)
    assert await trainer.append(items) == first
    assert len([e async for e in trainer.read(stream="w/lost")]) == 1


async def test_a_writer_that_sits_on_the_head_is_no_reason_to_bury_a_message(
    trainer: EventStore, owner: asyncpg.Connection
) -> None:
    await trainer.append([starting("patience")])
    await there(trainer._writer._connection).execute("SET lock_timeout = '100ms'")
    async with owner.transaction():
        await owner.execute("SELECT FROM log_head FOR UPDATE")
        with pytest.raises(DISCONNECTED):
            await trainer.append([starting("patience")])
    await there(trainer._writer._connection).execute("RESET lock_timeout")


@dataclass
class Model:
    """What a log is meant to be: whole effects one after the other, each accepted or refused by itself."""

    streams: Counter[str] = field(default_factory=Counter)
    seen: set[int] = field(default_factory=set)
    jobs: set[str] = field(default_factory=set)

    def write(self, effect: Plan) -> str:
        if effect.cause in self.seen:
            return "handled"
        streams = self.streams.copy()
        for stream, expected in effect.events:
            if expected not in (None, streams[stream]):
                return "conflict"
            streams[stream] += 1
        self.streams = streams
        self.seen.add(effect.cause)
        self.jobs |= effect.jobs
        return "written"


@dataclass(frozen=True)
class Plan:
    cause: int
    events: tuple[tuple[str, int | None], ...]
    jobs: frozenset[str]


STREAMS = st.sampled_from("abc")
PLANS = st.builds(
    Plan,
    st.integers(0, 5),
    st.lists(st.tuples(STREAMS, st.none() | st.integers(0, 4)), max_size=3).map(tuple),
    st.frozensets(STREAMS, max_size=2),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(PLANS, min_size=1, max_size=8), min_size=1, max_size=3))
async def test_batches_come_out_as_if_written_one_by_one(
    trainer: EventStore, stores: Stores, owner: asyncpg.Connection, batches: list[list[Plan]]
) -> None:
    run, model = uuid7().hex, Model()
    policy = await stores("policy")
    causes = await policy.append([Append(run, f"{run}/advice", AdvisorFailed(error="E", message="m"))] * 6)

    async def handle(plan: Plan) -> str:
        events = tuple(Append(run, f"{run}/{s}", starting("x").event, expected=e) for s, e in plan.events)
        effect = Effect(events, tuple(Work("w", f"{run}/{job}", run, {}) for job in sorted(plan.jobs)))
        try:
            written = await trainer.handle(run, causes[plan.cause], effect)
        except StreamConflict:
            return "conflict"
        return "handled" if written is None else "written"

    for batch in batches:
        outcomes = await asyncio.gather(*map(handle, batch))
        assert outcomes == [model.write(plan) for plan in batch]
    events = [e async for e in trainer.read(campaign=run, types=["TrainingStarted"])]
    assert Counter(e.subject.rpartition("/")[2] for e in events) == +model.streams
    assert [e.sequence for e in events] == sorted(e.sequence for e in events)
    keys = await owner.fetch("SELECT key FROM work WHERE campaign = $1", run)
    assert {row["key"].rpartition("/")[2] for row in keys} == model.jobs


async def test_the_chain_holds_over_batches(trainer: EventStore) -> None:
    assert (await trainer.verify({})).position == await trainer.head()
