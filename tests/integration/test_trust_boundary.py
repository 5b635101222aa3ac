"""One service's password, or access to Kafka, moves no other service: attacks on a real database, by role."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from eventstore.batch import uuid7
from eventstore.effect import NOTHING, Append, Effect, Work
from eventstore.errors import EventTooLarge
from eventstore.sql import QUERIES
from eventstore.store import EventStore
from judgement.history import History
from schemas.advisor import AdvisorFailed
from schemas.registry import SERVICES
from services.runtime.reactor import CONFLICTS, Reactor
from services.runtime.service import Service
from tests.conftest import Stores

QUEUES = {
    "data": "data",
    "advise": "recipes",
    "train": "trainer",
    "score": "oracle",
    "board": "oracle",
    "fingerprints": "oracle",
}
STRANGERS = [(service, queue) for queue, owner in QUEUES.items() for service in SERVICES if service != owner]
REFUSED = asyncpg.InsufficientPrivilegeError
QUEUE = "INSERT INTO work (queue, key, campaign, payload, priority, attempts) VALUES ($1, $2, 'c', '{}', 0, 2)"


async def session(stores: Stores, service: str) -> asyncpg.Connection:
    return await (await stores(service)).connect()


def test_every_queue_of_a_service_has_that_service_as_its_owner() -> None:
    jobs = {
        kind.queue: name
        for name in ("data", "recipes", "trainer", "oracle", "policy")
        for kind in importlib.import_module(f"services.{name}.app").SERVICE.jobs
    }
    assert jobs == QUEUES


async def test_the_database_knows_the_same_owners(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("SELECT queue, role FROM queue_owners")
    assert {row["queue"]: row["role"].removeprefix("aevolve_") for row in rows} == QUEUES


@pytest.mark.parametrize(("service", "queue"), STRANGERS)
async def test_no_service_queues_a_job_for_another(stores: Stores, service: str, queue: str) -> None:
    connection = await session(stores, service)
    try:
        with pytest.raises(REFUSED):
            await connection.execute(QUEUE, queue, f"by {service}")
    finally:
        await connection.close()
    store = await stores(service)
    with pytest.raises(REFUSED):
        await store.apply(Effect(work=(Work(queue, f"by {service}, written", "c", {"candidate": "base"}),)))


@pytest.mark.parametrize(
    "change", ["state = 'done'", "token = gen_random_uuid()", "lease_until = now()", "attempt = 9"]
)
async def test_no_service_touches_a_job_of_another(stores: Stores, owner: asyncpg.Connection, change: str) -> None:
    await owner.execute(QUEUE, "score", change)
    connection = await session(stores, "trainer")
    try:
        with pytest.raises(REFUSED):
            await connection.execute(f"UPDATE work SET {change} WHERE queue = 'score' AND key = $1", change)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "change",
    [
        "payload = '{\"candidate\": 1}'",
        "key = 'x'",
        "campaign = 'x'",
        "attempts = 1000",
        "queue = 'own'",
        "deadline = NULL",
    ],
)
async def test_nobody_changes_what_a_job_asks_for(stores: Stores, owner: asyncpg.Connection, change: str) -> None:
    await owner.execute(QUEUE, "train", change)
    await owner.execute("UPDATE work SET deadline = now() WHERE queue = 'train'")
    connection = await session(stores, "trainer")
    try:
        with pytest.raises(REFUSED):
            await connection.execute(f"UPDATE work SET {change} WHERE queue = 'train' AND key = $1", change)
    finally:
        await connection.close()


@pytest.mark.parametrize("change", ["state = 'queued'", "attempt = 0", "lost_seconds = 7", "ended_at = NULL"])
async def test_an_ended_job_stays_ended(stores: Stores, owner: asyncpg.Connection, change: str) -> None:
    """Its own service cannot have it done again either, such as a query of a board."""
    key = f"ended, {change}"
    await owner.execute(QUEUE, "board", key)
    connection = await session(stores, "oracle")
    try:
        assert await connection.execute("UPDATE work SET state = 'done' WHERE key = $1", key) == "UPDATE 1"
        with pytest.raises(REFUSED, match="has ended as done"):
            await connection.execute(f"UPDATE work SET {change} WHERE key = $1", key)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "change",
    [
        "deadline = '10000-01-01Z'",
        "deadline = '4000-01-01Z BC'",
        "deadline = 'infinity'",
        "available_at = '10000-01-01Z'",
        "leased_at = '-infinity'",
        "lease_until = 'infinity'",
        "lost_seconds = 'NaN'",
        "lost_seconds = -1",
        "attempt = -1",
        "key = repeat('x', 501)",
        "campaign = repeat('x', 201)",
        "payload = ('\"' || repeat('x', 50000001) || '\"')::json",
    ],
)
async def test_no_queue_has_a_row_that_a_worker_could_not_read(owner: asyncpg.Connection, change: str) -> None:
    """A date outside of Python's ended every worker that read the row. The owner alone gets as far as the check."""
    key = f"row, {change}"
    await owner.execute(QUEUE, "board", key)
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(f"UPDATE work SET {change} WHERE key = $1", key)


async def test_the_console_cancels_jobs_and_does_nothing_else_with_them(
    stores: Stores, owner: asyncpg.Connection
) -> None:
    await owner.execute(QUEUE, "train", "to cancel")
    connection = await session(stores, "console")
    try:
        with pytest.raises(REFUSED):
            await connection.execute("UPDATE work SET state = 'done' WHERE key = 'to cancel'")
    finally:
        await connection.close()
    assert await (await stores("console")).cancel("c") >= 1


@pytest.mark.parametrize("table", ["inbox", "checkpoints"])
async def test_nobody_handles_events_in_the_name_of_another(stores: Stores, table: str) -> None:
    policy = await stores("policy")
    (event,) = await policy.append([Append("t", f"t/{table}", AdvisorFailed(error="E", message="m"))])
    insert = {
        "inbox": ("INSERT INTO inbox (consumer, event) VALUES ('oracle', $1)", event.id),
        "checkpoints": ("INSERT INTO checkpoints (consumer, position) VALUES ('oracle', $1)", 10_000),
    }
    connection = await session(stores, "trainer")
    try:
        with pytest.raises(REFUSED):
            await connection.execute(*insert[table])
    finally:
        await connection.close()
    with pytest.raises(REFUSED):
        await (await stores("trainer")).handle("oracle", event, NOTHING)
    assert await (await stores("oracle")).pending("oracle", event.id)


async def test_of_a_message_only_the_id_counts(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real id with another type, campaign and time is handled as the log records it, and then never again."""
    seen: list[tuple[str, str, datetime]] = []

    def step(type_: str):
        def record(history: History, now: datetime) -> Effect:
            seen.append((type_, history.id, now))
            return NOTHING

        return record

    policy: EventStore = await stores("policy")
    (event,) = await policy.append([Append("real", "real/advice", AdvisorFailed(error="E", message="m"))])
    service = Service(
        "policy", {"AdvisorFailed": (step("AdvisorFailed"),), "ScoresReported": (step("ScoresReported"),)}
    )
    reactor = Reactor(service, policy)
    late = datetime.now(UTC) + timedelta(days=30_000)
    forged = event.model_copy(update={"type": "ScoresReported", "correlationid": "other", "time": late, "data": {}})
    # The campaign has no start here: what would be due is recorded instead.
    monkeypatch.setattr(reactor, "due", _started(reactor, seen))
    await reactor.react(forged)
    await reactor.react(event)
    assert seen == [("AdvisorFailed", "real", event.time)]
    assert await policy.pending("policy", event.id) is None


async def test_a_message_with_the_id_of_an_event_that_is_none_of_the_services_is_refused(stores: Stores) -> None:
    policy = await stores("policy")
    (event,) = await policy.append([Append("real", "real/other", AdvisorFailed(error="E", message="m"))])
    reactor = Reactor(Service("policy", {"ScoresReported": ()}), policy)
    with pytest.raises(ValueError, match="does not react"):
        await reactor.react(event.model_copy(update={"type": "ScoresReported"}))
    assert await policy.pending("policy", event.id)


def _started(reactor: Reactor, seen: list[tuple[str, str, datetime]]):
    async def due(campaign: str, steps, now: datetime) -> Effect:
        history = History(campaign)
        return sum((step(history, now) for step in steps), start=Effect())

    return due


LARGE = AdvisorFailed(error="E", message="x" * 950_000)


async def test_an_event_that_kafka_could_not_carry_is_refused_alone(stores: Stores) -> None:
    """It takes no other event with it that is written at the same moment."""
    policy = await stores("policy")
    small = Append("large", "large/advice", AdvisorFailed(error="E", message="m"))
    outcomes = await asyncio.gather(
        policy.append([Append("large", "large/one", LARGE)]), policy.append([small]), return_exceptions=True
    )
    assert isinstance(outcomes[0], EventTooLarge)
    assert isinstance(outcomes[1], list)


@pytest.mark.parametrize(
    ("campaign", "data", "version"),
    [
        ("c", "7", 1),
        ("c", "[]", 1),
        ("c", "null", 1),
        ("c", '{"message": "' + "x" * 950_000 + '"}', 1),
        ("c" * 300, "{}", 1),
        ("c", "{}", 0),
        ("c", "{}", 2**31 - 1),
    ],
)
async def test_the_database_takes_no_event_that_no_reader_could_show(
    stores: Stores, campaign: str, data: str, version: int
) -> None:
    """As a caller of the writing function with a service's password, past all checks in Python."""
    one = [1], [uuid7()], [campaign], [f"{campaign}/x"], [None], ["AdvisorFailed"], [version], [None], [None], [data]
    connection = await session(stores, "recipes")
    try:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.fetch(QUERIES["write_effects"], [None], [None], *one, *([] for _ in range(9)))
    finally:
        await connection.close()


async def write(connection: asyncpg.Connection, *events: Mapping[str, object]) -> list[asyncpg.Record]:
    """Write events by a caller of the writing function, past all checks in Python: one effect."""
    usual = {"campaign": "form", "type": "AdvisorFailed", "version": 1, "data": "{}"}
    filled = [{"id": uuid7(), "cause": None, "trace": None, "expected": None, **usual, **event} for event in events]
    names = ("id", "campaign", "stream", "expected", "type", "version", "cause", "trace", "data")
    columns = [[event.get(name, event["campaign"]) for event in filled] for name in names]
    effects = [1] * len(filled)
    return list(
        await connection.fetch(QUERIES["write_effects"], [None], [None], effects, *columns, *([] for _ in range(9)))
    )


TWICE = '{"campaign": {"test": true}, "campaign": {"name": "real"}}'
TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.mark.parametrize(
    "event",
    [
        {"data": TWICE},
        {"data": '{"a": [{"b": {"c": 1, "\\u0063": 2}}]}'},
        {"data": '{"a": "\\u0000"}'},
        {"data": '{"\\u0000": 1}'},
        {"data": '{"a": "\\ud800"}'},
        {"data": '{"a": 1e200000}'},
        {"trace": "x" * 3_000_000},
        {"trace": ""},
        {"trace": TRACE + "\n"},
        {"trace": TRACE.upper()},
        {"campaign": "zzz", "stream": "good"},
        {"campaign": "zzz", "stream": "zzzz/x"},
        {"campaign": "good/round", "stream": "good/round/1"},
    ],
    ids=str,
)
async def test_no_service_writes_what_two_readers_read_differently_or_not_at_all(
    stores: Stores, event: dict[str, object]
) -> None:
    connection = await session(stores, "policy")
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="event of type AdvisorFailed in campaign"):
            await write(connection, event)
        assert await write(connection, {"data": '{"a": [{"a": 1}, {"a": "\\ud83d\\ude00"}]}', "trace": TRACE})
    finally:
        await connection.close()


async def test_a_type_in_a_test_is_bounded_like_every_name(stores: Stores) -> None:
    connection = await session(stores, "console")
    start = {"campaign": "typed", "type": "CampaignStarted", "data": '{"campaign": {"test": true}}'}
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="type: at most 100"):
            await write(connection, start, {"campaign": "typed", "type": "x" * 101})
        assert len(await write(connection, start, {"campaign": "typed", "type": "x" * 100})) == 2
    finally:
        await connection.close()


@pytest.mark.parametrize("test", ["true", "false", '"true"', '"t"', "1", "[true]"])
async def test_a_campaign_is_a_test_by_the_word_true_alone(stores: Stores, test: str) -> None:
    connection = await session(stores, "console")
    name = f"is {test}"
    try:
        data = f'{{"campaign": {{"test": {test}}}}}'
        await write(connection, {"campaign": name, "type": "CampaignStarted", "data": data})
        (row,) = await write(connection, {"campaign": name})
        assert (row["refusal"] is None) == (test == "true")
    finally:
        await connection.close()


async def test_starts_of_earlier_versions_are_read_like_python_reads_them(
    stores: Stores, owner: asyncpg.Connection
) -> None:
    """A repeated key counts by its last value, and a text that PostgreSQL cannot hold fails nothing."""
    connection = await session(stores, "console")
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_form")
    bad = {
        "twice": TWICE,
        "nul": '{"campaign": {"test": true, "name": "\\u0000"}}',
        "odd": '{"campaign": {"test": "maybe"}}',
    }
    try:
        for name, data in bad.items():
            await write(connection, {"campaign": name, "type": "CampaignStarted", "data": data, "trace": "x" * 99})
        await owner.execute("ALTER TABLE events ENABLE TRIGGER events_form")
        names = {c.id: c.name for c in await (await stores("policy")).campaigns()}
        assert {name: names[name] for name in bad} == {"twice": "real", "nul": "", "odd": ""}
        for name in bad:
            assert '"not a writer"' in (await write(connection, {"campaign": name}))[0]["refusal"]
            cause = await owner.fetchval("SELECT id FROM events WHERE campaign = $1", name)
            stop = {"campaign": name, "type": "CampaignStopped", "cause": cause}
            assert (await write(connection, stop))[0]["traceparent"] is None, "a false context is not inherited"
    finally:
        await connection.close()


async def test_no_event_is_caused_by_itself_or_a_later_one(stores: Stores) -> None:
    connection = await session(stores, "policy")
    one, two = uuid7(), uuid7()
    try:
        for causes in ((one, None), (two, one), (two, None)):
            (row,) = await write(connection, {"id": one, "cause": causes[0]}, {"id": two, "cause": causes[1]})
            assert "unknown event" in row["refusal"]
        assert len(await write(connection, {"id": one}, {"id": two, "cause": one})) == 2
        assert len(await write(connection, {"cause": two})) == 1
    finally:
        await connection.close()


@pytest.mark.parametrize("leased_at", ["1970-01-02Z", "2000-01-01Z"])
async def test_a_job_leased_long_ago_is_leased_again(stores: Stores, owner: asyncpg.Connection, leased_at: str) -> None:
    """Its lost time went beyond what the check of the row takes, so that no worker could lease again."""
    connection = await session(stores, "trainer")
    try:
        await connection.execute(QUEUE, "train", leased_at)
        change = f"state = 'leased', leased_at = '{leased_at}', lease_until = now(), token = gen_random_uuid()"
        await connection.execute(f"UPDATE work SET {change} WHERE key = $1", leased_at)
    finally:
        await connection.close()
    trainer = await stores("trainer")
    job = await trainer.lease("train", "w", timedelta(seconds=30))
    assert job
    assert job.key == leased_at
    assert 0 < job.lost_seconds <= 1e9
    await trainer.fail(job, NOTHING, timedelta(0), 2e9)
    again = await trainer.lease("train", "w", timedelta(seconds=30))
    assert again
    assert again.lost_seconds == 1e9
    await trainer.fail(again, NOTHING, None)


async def test_a_row_that_the_database_lets_nobody_lease_is_ended(stores: Stores, owner: asyncpg.Connection) -> None:
    trainer = await stores("trainer")
    await owner.execute(
        "INSERT INTO work (queue, key, campaign, payload, priority, attempts) VALUES"
        " ('train', 'refused', 'c', '{}', 9, 2), ('train', 'behind', 'c', '{}', 1, 2)"
    )
    await owner.execute("ALTER TABLE work ADD CONSTRAINT odd CHECK (state <> 'leased' OR key <> 'refused')")
    assert await trainer.lease("train", "w", timedelta(seconds=30)) is None
    job = await trainer.lease("train", "w", timedelta(seconds=30))
    assert job
    assert job.key == "behind"
    assert await owner.fetchval("SELECT state FROM work WHERE key = 'refused'") == "failed"


async def test_a_checkpoint_is_a_services_own(stores: Stores) -> None:
    connection = await session(stores, "trainer")
    try:
        with pytest.raises(REFUSED, match="only its own"):
            await connection.execute("INSERT INTO checkpoints (consumer, position) VALUES ('nobody', 0)")
    finally:
        await connection.close()


async def test_a_stream_that_conflicts_for_ever_holds_up_its_campaign_alone(
    stores: Stores, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As versions took it that let an event of one campaign into the stream of another. Pages of one event."""
    monkeypatch.setattr("services.runtime.reactor.PAGE", 1)
    policy, seen = await stores("policy"), []
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_form")
    await policy.append([Append("thief", "squatted/next", AdvisorFailed(error="E", message="m"))])
    await owner.execute("ALTER TABLE events ENABLE TRIGGER events_form")
    failed = AdvisorFailed(error="E", message="m")
    first, _ = await policy.append([Append("squatted", "squatted", failed), Append("other", "other", failed)])
    reactor = Reactor(Service("policy", {"AdvisorFailed": ()}), policy)

    async def due(campaign: str, steps, now: datetime) -> Effect:
        seen.append(campaign)
        return Effect((Append(campaign, "squatted/next", failed, expected=0),)) if campaign == "squatted" else NOTHING

    monkeypatch.setattr(reactor, "due", due)
    async with asyncio.timeout(20):
        assert not await reactor.react(first)
        assert seen == ["squatted"] * CONFLICTS
        assert not await reactor.catch_up()
    assert "other" in seen, "its event comes a page later"
    assert [event.id for event in await policy.unhandled("policy", ["AdvisorFailed"])] == [first.id]
