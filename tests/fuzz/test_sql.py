"""Hostile SQL with each role's password: the log stays whole, and no role reaches beyond its own."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from eventstore.batch import uuid7
from eventstore.effect import Append
from eventstore.sql import QUERIES
from eventstore.store import EventStore
from schemas.envelope import campaign_stream
from schemas.registry import EVENTS, SERVICES
from tests.conftest import Stores
from tests.unit.loopworld import campaign, started

COUNT = int(os.environ.get("AEVOLVE_FUZZ_SQL", "200"))
SEED = int(os.environ.get("AEVOLVE_FUZZ_SEED", "16"))
TABLES = ("events", "log_head", "writers", "inbox", "checkpoints", "work", "progress", "relay_cursors", "queue_owners")
ROLES = tuple(f"aevolve_{service}" for service in SERVICES)
QUEUES = ("data", "advise", "train", "score", "board", "fingerprints", "none")
TEXTS = ("'c'", "''", "'\x1b[2J'", "NULL", "repeat('x', 100000)", "'c/r1s0'", "current_user", "'train'", "'score'")
"""As SQL."""
QUEUE = "INSERT INTO work (queue, key, campaign, payload, priority, attempts)"
STATEMENTS = (
    "INSERT INTO {table} SELECT * FROM {table} LIMIT 1",
    "INSERT INTO {table} DEFAULT VALUES",
    "UPDATE {table} SET {column} = {text}",
    "UPDATE {table} SET {column} = NULL",
    "DELETE FROM {table}",
    "TRUNCATE {table}",
    "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "ALTER TABLE {table} OWNER TO {role}",
    "DROP TABLE {table} CASCADE",
    "CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "CREATE FUNCTION aevolve.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION aevolve.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TEMP TABLE {table} (x int)",
    "SET ROLE {role}",
    "SET SESSION AUTHORIZATION {role}",
    "SET session_replication_role = replica",
    "SET search_path = pg_temp, aevolve",
    "GRANT ALL ON {table} TO PUBLIC",
    "ALTER ROLE {role} SUPERUSER",
    "ALTER ROLE {role} PASSWORD 'x'",
    "COPY {table} TO PROGRAM 'true'",
    "COPY {table} FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
    "SELECT set_config('session_replication_role', 'replica', false)",
    "WITH x AS (DELETE FROM {table} RETURNING *) SELECT count(*) FROM x",
    QUEUE + " VALUES ('{queue}', {text}, {text}, '{{}}', 0, 2)",
    "UPDATE work SET state = 'done', payload = '{{}}' WHERE queue = '{queue}'",
    "UPDATE work SET attempts = 1000, token = gen_random_uuid(), state = 'leased' WHERE queue = '{queue}'",
    "INSERT INTO inbox SELECT {text}, id, position FROM events",
    "INSERT INTO checkpoints VALUES ({text}, 1000000)",
    "UPDATE checkpoints SET position = 1000000",
    "MERGE INTO {table} t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    "CALL aevolve.nothing()",
    "DO $$ BEGIN EXECUTE 'DELETE FROM events'; END $$",
    "LISTEN aevolve",
    "NOTIFY aevolve, 'x'",
)


def statements(chance: random.Random, own: str) -> Iterator[str]:
    """PostgreSQL lets a role change its own password, so none is tried on it: the other tests need it."""
    others = [role for role in (*ROLES, "postgres", "aevolve") if role != own]
    while True:
        yield chance.choice(STATEMENTS).format(
            table=chance.choice(TABLES),
            column=chance.choice(("position", "data", "type", "queue", "hash", "role", "payload", "campaign")),
            text=chance.choice(TEXTS),
            role=chance.choice(others),
            queue=chance.choice(QUEUES),
        )


def events(chance: random.Random) -> list[Any]:
    """Arguments of the writing function: one event of any type, stream and version."""
    data = chance.choice(("{}", "7", "null", '{"a": ' * 300 + "1" + "}" * 300, json.dumps({"x": "y" * 1000}), "x"))
    number = chance.choice((0, 1, 1, 1, -1, 2**31 - 1))
    stream = chance.choice(("c", "c/r1s0", "d", "", "x" * 600))
    version = chance.choice((0, 1, 1, 1, 99, 2**31 - 1))
    type_ = chance.choice((*EVENTS, "Nothing", ""))
    expected = chance.choice((None, 0, 1, -1, 10**6))
    return [[number], [uuid7()], ["c"], [stream], [expected], [type_], [version], [None], [None], [data]]


@pytest.mark.parametrize("service", SERVICES)
async def test_a_roles_password_reaches_no_further_than_its_own(stores: Stores, owner, service: str) -> None:
    """`AEVOLVE_FUZZ_SQL=1000` for more calls, `AEVOLVE_FUZZ_SEED` for others."""
    chance, console = random.Random(f"{SEED} {service}"), await stores("console")
    if not await console.campaigns():
        await console.append([Append("c", campaign_stream("c"), started(campaign()), expected=0)])
        for queue in QUEUES[:-1]:
            await owner.execute(QUEUE + " VALUES ($1, 'k', 'c', '{}', 0, 2)", queue)
    before = await state(owner, service)
    types = await owner.fetch("SELECT type FROM writers WHERE role = $1", f"aevolve_{service}")
    allowed = {row["type"] for row in types}
    store, calls, done = await stores(service), statements(chance, f"aevolve_{service}"), 0
    connection = await store.connect()
    try:
        for _ in range(COUNT):
            try:
                if chance.random() < 0.2:
                    none: list[list[object]] = [[] for _ in range(9)]
                    await connection.fetch(QUERIES["write_effects"], [None], [None], *events(chance), *none)
                else:
                    await connection.execute(next(calls))
                done += 1
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OverflowError, ValueError, asyncpg.DataError):
                continue
            finally:
                if chance.random() < 0.1:
                    await connection.execute("RESET ALL; DISCARD TEMP")
    finally:
        await connection.close()
    assert done, "no call went through: the test tries nothing"
    assert await state(owner, service) == before
    await whole(console, owner, service, allowed)


async def state(owner: asyncpg.Connection, service: str) -> dict[str, Any]:
    """What the role must not change: others' jobs and rows, rights, functions, triggers, passwords."""
    role = f"aevolve_{service}"
    queries = {
        "work": "SELECT id, queue, key, campaign, payload::text, attempts FROM work WHERE queue IN "
        "(SELECT queue FROM queue_owners WHERE role <> $1) ORDER BY id",
        "inbox": "SELECT * FROM inbox WHERE 'aevolve_' || consumer IN (SELECT rolname FROM pg_roles) "
        "AND consumer <> substr($1, 9) ORDER BY 1, 2",
        "checkpoints": "SELECT * FROM checkpoints WHERE 'aevolve_' || consumer IN (SELECT rolname FROM pg_roles) "
        "AND consumer <> substr($1, 9) ORDER BY 1",
        "writers": "SELECT type, role, $1 = '' FROM writers ORDER BY 1, 2",
        "owners": "SELECT queue, role, $1 = '' FROM queue_owners ORDER BY 1",
        "functions": "SELECT proname, md5(prosrc), proowner, $1 = '' FROM pg_proc "
        "WHERE pronamespace = 'aevolve'::regnamespace ORDER BY 1, 2",
        "triggers": "SELECT tgname, tgenabled, tgrelid, $1 = '' FROM pg_trigger ORDER BY 1, 3",
        "tables": "SELECT relname, relowner, relacl::text, $1 = '' FROM pg_class "
        "WHERE relnamespace = 'aevolve'::regnamespace ORDER BY 1",
        "roles": "SELECT rolname, rolsuper, rolpassword FROM pg_authid WHERE rolname <> $1 ORDER BY 1",
    }
    return {name: [tuple(row) for row in await owner.fetch(sql, role)] for name, sql in queries.items()}


async def whole(console: EventStore, owner: asyncpg.Connection, service: str, allowed: set[str]) -> None:
    """The chain holds, and the role wrote events of its own types alone."""
    await console.verify({})
    types = await owner.fetch("SELECT DISTINCT type FROM events WHERE source = $1", f"aevolve/{service}")
    assert {row["type"] for row in types} <= allowed
    head = await owner.fetchval("SELECT position FROM log_head")
    assert head == await owner.fetchval("SELECT max(position) FROM events")
