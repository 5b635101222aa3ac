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
    await asyncio.sleep(0.2)
    assert not await owner.fetch("SELECT * FROM end_blockers_after(0.1)"), "it is in nobody's way yet"
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


async def test_no_role_keeps_migrations_waiting(login: Login, owner: asyncpg.Connection, database: str) -> None:
    holder = await login("exporter")
    await holder.execute("SELECT pg_advisory_lock(hashtextextended('aevolve migrations', 0))")
    relay = await login("data")
    await relay.execute("SELECT pg_advisory_lock(hashtextextended('aevolve relay x', 0))")
    assert len(await owner.fetch("SELECT * FROM end_blockers()")) == 1
    assert await migrate(database) == []
    assert not await is_ended(relay)


async def test_every_service_ends_blockers_and_none_chooses_when(
    login: Login, stores: Stores, caplog: pytest.LogCaptureFixture
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
