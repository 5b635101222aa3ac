"""Migrations: applied once, by one at a time, never edited; and who may log in afterwards."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from eventstore import migrate as migrate_module
from eventstore.effect import Append
from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.migrate import MigrationEdited, migrate, migrations, provision
from eventstore.store import EventStore
from schemas.advisor import AdvisorFailed
from schemas.registry import WRITERS
from tests.conftest import PASSWORDS, Stores, create_database

ALL = [name for name, _ in migrations()]


async def test_migrations_are_numbered_without_gaps() -> None:
    assert [int(name[:3]) for name in ALL] == list(range(1, len(ALL) + 1))


async def test_two_migrators_apply_each_migration_once(postgres: EmbeddedPostgres) -> None:
    dsn = await create_database(postgres, "twice")
    applied = await asyncio.gather(migrate(dsn), migrate(dsn))
    assert sorted(applied, key=len) == [[], ALL]
    assert await migrate(dsn) == []


async def test_migrating_again_keeps_the_events(stores: Stores, database: str) -> None:
    policy = await stores("policy")
    (event,) = await policy.append([Append("m", "m", AdvisorFailed(error="E", message="m"))])
    assert await migrate(database) == []
    assert await policy.get(event.id) == event


FIRST_WRITER = """
SELECT position FROM aevolve.append_events_v1(
    ARRAY[gen_random_uuid(), gen_random_uuid()], '{m,m}', '{m/a,m/a}', '{0,1}', '{AdvisorFailed,AdvisorFailed}',
    '{1,1}', '{NULL,NULL}', '{NULL,NULL}', ARRAY['{"error":"é","message":"1"}', '{"error":"E","message":"2"}'])
"""
"""An append of the first version, by a role that may write them."""


async def test_a_log_that_an_older_version_wrote_goes_on(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = await create_database(postgres, "older")
    whole = list(migrations())
    monkeypatch.setattr(migrate_module, "migrations", lambda: whole[:4])
    await migrate(dsn)
    await provision(dsn, PASSWORDS)
    monkeypatch.setattr(migrate_module, "migrations", lambda: whole)
    async with await EventStore.open(dsn, service="policy", password=PASSWORDS["policy"]) as policy:
        session = await policy.connect()
        assert [row["position"] for row in await session.fetch(FIRST_WRITER)] == [1, 2]
        await session.close()
        assert await migrate(dsn) == ALL[4:]
        (event,) = await policy.append([Append("m", "m/a", AdvisorFailed(error="E", message="3"), expected=2)])
        assert (event.sequence, event.stream_version) == (3, 3)
        assert (await policy.verify({})).position == 3


async def test_what_the_version_before_still_needs_is_taken_away_afterwards(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = await create_database(postgres, "rolling")
    await migrate(dsn)
    new = [
        ("900_more.sql", "CREATE TABLE more ()"),
        ("901_less.after.sql", "DROP TABLE more"),
        ("902_last.sql", "SELECT 1"),
    ]
    whole = [*migrations(), *new]
    monkeypatch.setattr(migrate_module, "migrations", lambda: whole)
    assert await migrate(dsn, before=True) == ["900_more.sql"]
    assert await migrate(dsn, before=True) == []
    assert await migrate(dsn) == ["901_less.after.sql", "902_last.sql"]
    assert await migrate(dsn, before=True) == []


async def test_an_edited_migration_is_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    edited = [(name, text + "-- better\n") for name, text in migrations()]
    monkeypatch.setattr(migrate_module, "migrations", lambda: edited)
    with pytest.raises(MigrationEdited, match=ALL[0]):
        await migrate(database)


async def test_a_migration_that_fails_leaves_nothing(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = await create_database(postgres, "half")
    whole = list(migrations())
    broken = [*whole, ("999_broken.sql", "CREATE TABLE half (); SELECT 1 / 0;")]
    monkeypatch.setattr(migrate_module, "migrations", lambda: broken)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SELECT to_regclass('aevolve.half')") is None
    await connection.close()
    monkeypatch.setattr(migrate_module, "migrations", lambda: whole)
    assert await migrate(dsn) == []


async def test_the_writers_are_those_of_the_code(owner: asyncpg.Connection, database: str) -> None:
    await owner.execute("INSERT INTO writers VALUES ('ScoresReported', 'aevolve_trainer')")
    await migrate(database)
    rows = {(row["type"], row["role"]) for row in await owner.fetch("SELECT type, role FROM writers")}
    assert rows == {(model.__name__, f"aevolve_{name}") for model, names in WRITERS.items() for name in names}


async def test_a_role_needs_its_password(database: str) -> None:
    for password in ("wrong", "", PASSWORDS["oracle"]):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await EventStore.open(database, service="trainer", password=password)


async def test_a_password_can_be_changed(database: str) -> None:
    odd = 'it\'s "odd" \\ %s'
    await provision(database, {"data": odd})
    store = await EventStore.open(database, service="data", password=odd)
    assert await store.head() >= 0
    await store.close()
    await provision(database, PASSWORDS)
