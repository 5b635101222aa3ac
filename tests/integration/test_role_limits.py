"""No role takes the log away from the others: sessions, locks and temporary files are limited by the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from eventstore.effect import Append
from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.limits import ROLE_SETTINGS
from eventstore.migrate import migrate, provision
from eventstore.store import DISCONNECTED, EventStore
from schemas.advisor import AdvisorFailed
from schemas.registry import READERS, SERVICES
from services.runtime.main import end_blockers
from tests.conftest import PASSWORDS, Stores

SECRETS = PASSWORDS | {reader: f"secret of {reader}" for reader in READERS}
STRONG = (
    "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE",
)  # fmt: skip
TABLES = ("events", "log_head", "inbox", "checkpoints", "relay_cursors", "work", "progress", "writers")
HOLD_THE_HEAD = """
SELECT * FROM write_effects_v1('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
                               '{}', '{}', '{}', '{}', '{}', '{}')
"""
"""A batch without effects, which locks the counter row all the same."""

Login = Callable[[str], Awaitable[asyncpg.Connection]]


@pytest.fixture
async def login(database: str) -> AsyncIterator[Login]:
    """Opens a session as a role, as anybody with its password would: without the settings of `eventstore.connect`."""
    await provision(database, {reader: SECRETS[reader] for reader in READERS})
    opened: list[asyncpg.Connection] = []

    async def log_in(service: str) -> asyncpg.Connection:
        user = {"user": f"aevolve_{service}", "password": SECRETS[service]}
        opened.append(await asyncpg.connect(database, server_settings={"search_path": "aevolve"}, **user))
        return opened[-1]

    yield log_in
    for connection in opened:
        connection.terminate()


def failure() -> Append:
    return Append("c", "c", AdvisorFailed(error="E", message="m"))


async def is_ended(connection: asyncpg.Connection) -> bool:
    """Whether the server has ended the session."""
    try:
        await connection.fetchval("SELECT 1")
    except DISCONNECTED:
        return True
    return False


@pytest.mark.parametrize("service", READERS)
async def test_a_reader_cannot_use_up_the_sessions(service: str, login: Login, stores: Stores) -> None:
    for _ in range(10):
        await login(service)
    with pytest.raises(asyncpg.TooManyConnectionsError):
        await login(service)
    async with AsyncExitStack() as sessions:  # the services still log in
        for name in SERVICES:
            sessions.push_async_callback((await (await stores(name)).connect()).close)


async def test_no_role_may_open_a_third_of_the_sessions(owner: asyncpg.Connection) -> None:
    most = int(await owner.fetchval("SHOW max_connections")) * 0.3
    rows = await owner.fetch("SELECT rolname, rolconnlimit FROM pg_roles WHERE rolname LIKE 'aevolve\\_%'")
    assert {row["rolname"] for row in rows} == {f"aevolve_{name}" for name in (*SERVICES, *READERS)}
    assert all(0 < row["rolconnlimit"] <= most for row in rows), rows


@pytest.mark.parametrize("service", [*SERVICES, *READERS])
async def test_a_session_that_sets_no_timeouts_has_those_of_its_role(service: str, login: Login) -> None:
    session = await login(service)
    shown = {name: await session.fetchval(f"SHOW {name}") for name in ROLE_SETTINGS}
    assert shown == ROLE_SETTINGS | {"statement_timeout": "90s"}
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await session.execute("SET temp_file_limit = -1")


@pytest.mark.parametrize("service", SERVICES)
async def test_no_service_locks_a_table(service: str, login: Login) -> None:
    session, granted = await login(service), []
    for table in TABLES:
        for mode in STRONG:
            try:
                await session.execute(f"BEGIN; LOCK TABLE {table} IN {mode} MODE NOWAIT; ROLLBACK")
            except asyncpg.InsufficientPrivilegeError:
                await session.execute("ROLLBACK")
            else:
                granted.append((table, mode))
    assert not granted


@pytest.mark.parametrize("service", SERVICES)
async def test_whoever_keeps_the_counter_row_is_ended(
    service: str, login: Login, stores: Stores, owner: asyncpg.Connection
) -> None:
    holder = await login(service)
    await holder.execute("SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0; BEGIN")
    await holder.execute(HOLD_THE_HEAD)
    await asyncio.sleep(0.2)
    assert not await owner.fetch("SELECT * FROM end_blockers()"), "half a minute is granted"
    waiting = asyncio.create_task((await stores("policy")).append([failure()]))
    (ended,) = await owner.fetch("SELECT * FROM end_blockers_after(0.1)")
    assert ended["role"] == f"aevolve_{service}"
    assert await waiting
    assert await is_ended(holder)


async def test_whoever_keeps_the_counter_row_by_a_long_statement_is_ended(
    login: Login, stores: Stores, owner: asyncpg.Connection
) -> None:
    holder = await login("data")
    await holder.execute("SET statement_timeout = 0; BEGIN")
    await holder.execute(HOLD_THE_HEAD)
    sleeping = asyncio.create_task(holder.execute("SELECT pg_sleep(60)"))
    await asyncio.sleep(0.2)
    assert len(await owner.fetch("SELECT * FROM end_blockers_after(0.1)")) == 1
    assert await (await stores("policy")).append([failure()])
    with pytest.raises(DISCONNECTED):
        await sleeping


async def test_whoever_blocks_another_by_a_row_is_ended(
    login: Login, owner: asyncpg.Connection, stores: Stores
) -> None:
    await (await stores("policy")).advance("policy", ["CampaignStarted"])
    holder = await login("data")
    await holder.execute("SET idle_in_transaction_session_timeout = 0; BEGIN")
    await holder.execute("SELECT * FROM checkpoints FOR UPDATE")
    assert not await owner.fetch("SELECT * FROM end_blockers_after(30)"), "half a minute is granted"
    waiting = asyncio.create_task((await stores("policy")).advance("policy", ["CampaignStarted"]))
    await asyncio.sleep(0.3)
    (ended,) = await owner.fetch("SELECT * FROM end_blockers_after(0.1)")
    assert ended["role"] == "aevolve_data"
    assert await waiting >= 0


async def test_a_long_reader_is_left_alone(login: Login, owner: asyncpg.Connection) -> None:
    reader = await login("console")
    await reader.execute("SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ")
    await reader.fetch("SELECT * FROM log_head, work, events, checkpoints, inbox")
    await reader.execute("CREATE TEMP TABLE scratch (n integer) ON COMMIT DROP")
    await asyncio.sleep(0.2)
    assert not await owner.fetch("SELECT * FROM end_blockers_after(0.1)")
    assert not await is_ended(reader)


@pytest.fixture
async def lockable(owner: asyncpg.Connection) -> AsyncIterator[None]:
    """A database whose owner cannot keep the roles from taking advisory locks."""
    await owner.execute("GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO PUBLIC")
    yield
    await owner.execute("REVOKE EXECUTE ON FUNCTION pg_advisory_lock(bigint) FROM PUBLIC")


async def test_no_role_keeps_migrations_waiting(
    login: Login, lockable: None, owner: asyncpg.Connection, database: str
) -> None:
    holder = await login("exporter")
    await holder.execute("SELECT pg_advisory_lock(hashtextextended('aevolve migrations', 0))")
    relay = await login("data")
    assert await relay.fetchval("SELECT lead_relay('x')")
    assert len(await owner.fetch("SELECT * FROM end_blockers()")) == 1
    assert await migrate(database) == []
    assert not await is_ended(relay)


async def test_every_service_ends_blockers_and_none_chooses_when(
    login: Login, stores: Stores, lockable: None, caplog: pytest.LogCaptureFixture
) -> None:
    for service in SERVICES:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await (await login(service)).fetch("SELECT * FROM end_blockers_after(0)")
        assert await (await stores(service)).end_blockers() == []
    holder = await login("exporter")
    await holder.execute("SELECT pg_advisory_lock(hashtextextended('aevolve migrations', 0))")
    with caplog.at_level(logging.ERROR):
        await end_blockers(await stores("policy"))
    assert "a session of aevolve_exporter was ended" in caplog.text


async def test_an_owner_without_superuser_rights_limits_and_ends_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with EmbeddedPostgres(tmp_path / "own") as server:
        root = await asyncpg.connect(server.dsn)
        await root.execute("CREATE ROLE plain LOGIN CREATEROLE PASSWORD 'p'")
        await root.execute("CREATE DATABASE plain OWNER plain")
        await root.close()
        dsn = f"postgresql://plain:p@/plain?{server.dsn.partition('?')[2]}"
        await migrate(dsn)
        assert "temp_file_limit" in caplog.text
        assert "CONNECTION LIMIT" not in caplog.text
        await provision(dsn, PASSWORDS)
        async with await EventStore.open(dsn, service="data", password=PASSWORDS["data"]) as store:
            holder = await store.connect()
            await holder.execute("BEGIN")
            await holder.execute(HOLD_THE_HEAD)
            owner = await asyncpg.connect(dsn)
            await asyncio.sleep(0.2)
            assert len(await owner.fetch("SELECT * FROM aevolve.end_blockers_after(0.1)")) == 1
            await owner.close()
            assert await is_ended(holder)
            assert await store.end_blockers() == []


ADVISORY = "SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_lock(1, 2)", "SELECT pg_advisory_xact_lock_shared(1)"
LARGE = "SELECT lo_from_bytea(0, 'x')", "SELECT lo_creat(-1)"
TEMPORARY = ("CREATE TEMP TABLE t (n integer)",)


@pytest.mark.parametrize("service", [*SERVICES, *READERS])
async def test_no_role_fills_the_table_of_locks(service: str, login: Login, database: str) -> None:
    """By advisory locks, large objects or temporary tables; the console needs the last, to rebuild projections."""
    assert await migrate(database) == []
    session = await login(service)
    for statement in (*ADVISORY, *LARGE, *(TEMPORARY if service != "console" else ())):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.execute(statement)
    if service == "console":
        await session.execute(*TEMPORARY)


async def test_a_session_leads_one_relay_at_most(login: Login, owner: asyncpg.Connection) -> None:
    first, second = await login("data"), await login("policy")
    assert await first.fetch("SELECT lead_relay(n::text) FROM generate_series(1, 1000) n")
    pid = await first.fetchval("SELECT pg_backend_pid()")
    count_locks = "SELECT count(*) FROM pg_locks WHERE pid = $1 AND locktype = 'advisory'"
    assert await owner.fetchval(count_locks, pid) == 1
    assert await second.fetchval("SELECT lead_relay('999')")
    assert not await second.fetchval("SELECT lead_relay('1000')")
    for reader in READERS:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await (await login(reader)).fetchval("SELECT lead_relay('x')")


@pytest.mark.parametrize("lock", ["FOR UPDATE", "FOR KEY SHARE"])
async def test_whoever_locks_rows_that_the_others_skip_is_ended(
    lock: str, login: Login, owner: asyncpg.Connection
) -> None:
    """Nobody waits for such a lock: workers pass over the row."""
    await owner.execute(
        "INSERT INTO work (queue, key, campaign, payload, priority, attempts) VALUES ('score', $1, 'c', '{}', 0, 2)",
        lock,
    )
    holder = await login("trainer")
    await holder.execute("SET idle_in_transaction_session_timeout = 0; BEGIN")
    assert await holder.fetch(f"SELECT * FROM work {lock}")
    await asyncio.sleep(0.2)
    assert not await owner.fetch("SELECT * FROM end_blockers()")
    (ended,) = await owner.fetch("SELECT * FROM end_blockers_after(0.1)")
    assert ended["role"] == "aevolve_trainer"
    assert await is_ended(holder)


@pytest.mark.parametrize("service", [*(s for s in SERVICES if s != "console"), *READERS])
async def test_an_idle_transaction_is_ended(service: str, login: Login, owner: asyncpg.Connection) -> None:
    """One that listens keeps all later notifications, until nobody can commit an event."""
    holder = await login(service)
    await holder.execute("SET idle_in_transaction_session_timeout = 0; LISTEN x; BEGIN; SELECT 1")
    await asyncio.sleep(0.2)
    assert not await owner.fetch("SELECT * FROM end_blockers()")
    assert len(await owner.fetch("SELECT * FROM end_blockers_after(0.1)")) == 1
    assert await is_ended(holder)


async def fill_notifications(session: asyncpg.Connection) -> None:
    while True:
        await session.execute("SELECT pg_notify('x', g || repeat('y', 7900)) FROM generate_series(1, 20) g")


async def test_a_full_queue_of_notifications_ends_who_keeps_it(tmp_path: Path) -> None:
    """Also the console, which else may be idle; until then an append is one to try again."""
    with EmbeddedPostgres(tmp_path / "small") as server:
        root = await asyncpg.connect(server.dsn)
        await root.execute("ALTER SYSTEM SET max_notify_queue_pages = 64")
        await root.close()
    with EmbeddedPostgres(tmp_path / "small") as server:
        await migrate(server.dsn)
        await provision(server.dsn, PASSWORDS)
        as_console = {"user": "aevolve_console", "password": PASSWORDS["console"]}
        holder, filler = [await asyncpg.connect(server.dsn, **as_console) for _ in range(2)]
        owner = await asyncpg.connect(server.dsn)
        await holder.execute("SET idle_in_transaction_session_timeout = 0; LISTEN x")
        await holder.execute("BEGIN; SELECT 1")
        await asyncio.sleep(0.2)
        assert not await owner.fetch("SELECT * FROM aevolve.end_blockers_after(0.1)")
        with pytest.raises(asyncpg.ProgramLimitExceededError):
            await fill_notifications(filler)
        async with await EventStore.open(server.dsn, service="policy", password=PASSWORDS["policy"]) as store:
            with pytest.raises(DISCONNECTED):
                await store.append([failure()])
            assert len(await owner.fetch("SELECT * FROM aevolve.end_blockers_after(0.1)")) == 1
            assert await is_ended(holder)
            await store.end_blockers()  # the next look, ten seconds later
            assert await store.append([failure()])
        for connection in (owner, filler):
            await connection.close()


@pytest.mark.parametrize("act", [migrate, lambda dsn: provision(dsn, {"trainer": SECRETS["trainer"]})])
async def test_what_a_role_has_set_for_itself_is_taken_away(
    act: Callable[[str], Awaitable[object]], login: Login, database: str
) -> None:
    """Such as by whoever had its password before."""
    session = await login("trainer")
    name = await session.fetchval("SELECT current_database()")
    await session.execute("ALTER ROLE aevolve_trainer SET default_transaction_read_only = on")
    await session.execute("ALTER ROLE aevolve_trainer SET lock_timeout = 7")
    await session.execute(f'ALTER ROLE aevolve_trainer IN DATABASE "{name}" SET row_security = off')
    await act(database)
    new = await login("trainer")
    shown = {name: await new.fetchval(f"SHOW {name}") for name in ROLE_SETTINGS}
    assert shown == ROLE_SETTINGS | {"statement_timeout": "90s"}
    assert await new.fetchval("SHOW default_transaction_read_only") == "off"
    assert await new.fetchval("SHOW row_security") == "on"
