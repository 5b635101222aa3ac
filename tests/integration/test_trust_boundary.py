"""One service's password, or access to Kafka, moves no other service: attacks on a real database, by role."""

from __future__ import annotations

import asyncio
import importlib
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
from services.runtime.reactor import Reactor
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


async def test_of_a_message_only_the_id_counts(stores: Stores) -> None:
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
    reactor.due = _started(reactor, seen)  # the campaign has no start here: what would be due is recorded instead
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
