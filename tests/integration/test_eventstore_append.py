"""What enters the log, in which order, and who may let it in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore.batch import uuid7, write_one
from eventstore.effect import Append, Effect
from eventstore.store import NotAWriter, StreamConflict, UnknownEvent
from schemas.advisor import AdvisorFailed
from schemas.base import canonical_json
from schemas.envelope import Envelope
from schemas.events import CampaignPaused, CampaignStarted, TrainingStarted
from tests.conftest import Stores
from tests.typed import there

RECORDED = Path("tests/recorded/demo.jsonl")


def told() -> list[Envelope]:
    """The events of a finished campaign."""
    return [Envelope.model_validate_json(line) for line in RECORDED.read_text().splitlines()]


def starting(candidate: str, attempt: int = 1, *, campaign: str = "c1", expected: int | None = None) -> Append:
    event = TrainingStarted(candidate=candidate, attempt=attempt, worker="w")
    return Append(campaign, f"{campaign}/{candidate}", event, expected=expected)


async def test_events_come_back_as_recorded(stores: Stores) -> None:
    trainer = await stores("trainer")
    before = await trainer.head()
    first, second = await trainer.append([starting("back1"), starting("back1", 2)])
    assert (first.sequence, second.sequence) == (before + 1, before + 2)
    assert (first.stream_version, second.stream_version) == (1, 2)
    assert first.source == "aevolve/trainer"
    assert first.event == TrainingStarted(candidate="back1", attempt=1, worker="w")
    assert [event async for event in trainer.read(after=before)] == [first, second]
    assert await trainer.get(second.id) == second


async def test_nothing_appended_takes_no_position(stores: Stores) -> None:
    trainer = await stores("trainer")
    before = await trainer.head()
    assert await trainer.append([]) == []
    assert await trainer.head() == before


async def test_positions_have_no_gaps_under_concurrent_appends_and_rejections(stores: Stores, database: str) -> None:
    trainer, oracle = await stores("trainer"), await stores("oracle")
    before = await trainer.head()

    async def rejected() -> None:
        with pytest.raises(StreamConflict):
            await trainer.append([starting("race", expected=10_000)])
        with pytest.raises(NotAWriter):
            await oracle.append([starting("race")])

    one = [trainer.append([starting("race"), starting(f"race{n}")]) for n in range(40)]
    await asyncio.gather(*one, *(rejected() for _ in range(10)))
    events = [event async for event in trainer.read(after=before)]
    assert [event.sequence for event in events] == list(range(before + 1, before + 81))
    shared = [event.stream_version for event in events if event.subject == "c1/race"]
    assert shared == list(range(1, 41))


async def test_a_reader_never_sees_a_later_event_before_an_earlier_one(stores: Stores) -> None:
    trainer = await stores("trainer")
    position = start = await trainer.head()
    writing = asyncio.gather(*(trainer.append([starting(f"order{n}")]) for n in range(50)))
    seen: list[int] = []
    while len(seen) < 50:
        async for event in trainer.read(after=position):
            seen.append(event.sequence)
            position = event.sequence
    await writing
    assert seen == list(range(start + 1, start + 51))


async def test_a_wrong_expected_version_is_a_typed_conflict_and_appends_nothing(stores: Stores) -> None:
    trainer = await stores("trainer")
    await trainer.append([starting("conflict", expected=0)])
    before = await trainer.head()
    with pytest.raises(StreamConflict) as caught:
        await trainer.append([starting("bystander"), starting("conflict", expected=0)])
    assert (caught.value.stream, caught.value.expected, caught.value.actual) == ("c1/conflict", 0, 1)
    assert await trainer.head() == before


async def test_expected_versions_count_the_events_of_the_same_append(stores: Stores) -> None:
    trainer = await stores("trainer")
    _, second = await trainer.append([starting("both", expected=0), starting("both", 2, expected=1)])
    assert second.stream_version == 2


async def test_of_two_writers_that_expect_the_same_version_one_wins(stores: Stores) -> None:
    trainer = await stores("trainer")
    attempts = [trainer.append([starting("duel", expected=0)]) for _ in range(8)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(outcome, list) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, StreamConflict) for outcome in outcomes) == 7


async def test_a_service_may_append_its_own_types_alone(stores: Stores) -> None:
    trainer, oracle = await stores("trainer"), await stores("oracle")
    with pytest.raises(NotAWriter) as caught:
        await oracle.append([starting("forged")])
    assert (caught.value.role, caught.value.type) == ("aevolve_oracle", "TrainingStarted")
    score = next(e for e in told() if e.type == "ScoresReported").event
    with pytest.raises(NotAWriter) as caught:
        await trainer.append([Append("c1", "c1/r1s0", score)])
    assert (caught.value.role, caught.value.type) == ("aevolve_trainer", "ScoresReported")


async def test_a_reader_waits_for_nobody_and_a_rolled_back_append_leaves_no_gap(
    stores: Stores, database: str, owner: asyncpg.Connection
) -> None:
    """An append that hangs before its commit: what comes later waits for it, so a checkpoint can never pass it."""
    trainer = await stores("trainer")
    before = await trainer.head()
    hanging = await trainer.connect()
    try:
        transaction = hanging.transaction()
        await transaction.start()
        await write_one(hanging, Effect((starting("held"),)), None)
        later = asyncio.create_task(trainer.append([starting("later")]))
        await asyncio.sleep(0.2)
        assert [event async for event in trainer.read(after=before)] == []
        assert not later.done()
        await transaction.rollback()
        assert [event.sequence for event in await later] == [before + 1]
    finally:
        await hanging.close()


async def test_no_session_waits_or_idles_for_ever(stores: Stores) -> None:
    trainer = await stores("trainer")
    await trainer.append([starting("limits")])
    for session in (trainer._writer._connection, trainer._pool):
        for setting in ("lock_timeout", "idle_in_transaction_session_timeout"):
            assert await there(session).fetchval(f"SHOW {setting}") == "10s"
        assert await there(session).fetchval("SHOW default_transaction_isolation") == "read committed"


async def test_nobody_inserts_past_the_append_function(stores: Stores, database: str) -> None:
    for service in ("trainer", "console"):
        store = await stores(service)
        connection = await store.connect()
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("INSERT INTO events SELECT * FROM events LIMIT 0")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("INSERT INTO writers VALUES ('ScoresReported', 'aevolve_trainer')")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("SET ROLE aevolve_oracle")
        finally:
            await connection.close()


async def test_the_console_emits_into_test_campaigns_alone(stores: Stores, started: CampaignStarted) -> None:
    console = await stores("console")
    real = started.model_copy(update={"campaign": started.campaign.model_copy(update={"test": False})})
    await console.append([Append("test1", "test1", started), Append("real1", "real1", real)])
    (emitted,) = await console.append([starting("r1s0", campaign="test1")])
    assert emitted.source == "aevolve/console"
    for campaign in ("real1", "unknown"):
        with pytest.raises(NotAWriter):
            await console.append([starting("r1s0", campaign=campaign)])
    await console.append([Append("real1", "real1", CampaignPaused(by="me", reason="lunch"))])


async def test_a_second_start_cannot_turn_a_real_campaign_into_a_test(stores: Stores, started: CampaignStarted) -> None:
    console = await stores("console")
    real = started.model_copy(update={"campaign": started.campaign.model_copy(update={"test": False})})
    await console.append([Append("real2", "real2", real)])
    with pytest.raises(asyncpg.UniqueViolationError) as caught:
        await console.append([Append("real2", "real2", started)])
    assert caught.value.constraint_name == "events_campaign_started"


@pytest.mark.parametrize(
    "statement", ["UPDATE events SET type = type", "DELETE FROM events", "TRUNCATE events CASCADE"]
)
async def test_the_log_refuses_change_even_by_its_owner(
    stores: Stores, owner: asyncpg.Connection, statement: str
) -> None:
    await (await stores("trainer")).append([starting("kept")])
    await owner.execute("SET session_replication_role = replica")
    with pytest.raises(asyncpg.InsufficientPrivilegeError) as caught:
        await owner.execute(statement)
    assert caught.value.constraint_name == "events_append_only"


async def test_a_cause_must_be_in_the_log(stores: Stores) -> None:
    trainer = await stores("trainer")
    item = starting("orphan")
    with pytest.raises(UnknownEvent):
        await trainer.append([Append(item.campaign, item.subject, item.event, causation=uuid7())])


async def test_the_trace_goes_on_from_cause_to_effect(stores: Stores) -> None:
    trainer = await stores("trainer")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    (root,) = await trainer.append([starting("trace")], traceparent=trace)
    (effect,) = await trainer.append([Append("c1", "c1/trace", root.event, causation=root.id)])
    assert (effect.traceparent, effect.causationid) == (trace, root.id)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))  # which the log refuses


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(error=TEXTS, message=TEXTS)
async def test_payloads_are_kept_byte_for_byte(
    stores: Stores, owner: asyncpg.Connection, error: str, message: str
) -> None:
    policy = await stores("policy")
    event = AdvisorFailed(error=error, message=message)
    (recorded,) = await policy.append([Append("c1", "c1/advice", event)])
    stored = await owner.fetchval("SELECT data::text FROM events WHERE id = $1", recorded.id)
    assert stored == canonical_json(event) == canonical_json(recorded.data)
    assert recorded.event == event
