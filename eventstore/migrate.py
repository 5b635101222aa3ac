"""Bringing a database to the schema of this version: numbered files, each applied once, by one migrator at a time.

The code defines who may write what, and the limits of each role: `schemas.registry.WRITERS` and `eventstore.limits` are
copied into the database with each migration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from itertools import takewhile

import asyncpg

from eventstore.connect import SETTINGS, role
from eventstore.limits import limit_roles
from eventstore.sql import QUERIES
from schemas.registry import WRITERS

AFTER = ".after.sql"
"""How the name of a migration ends that takes away what the version before still needs."""


class MigrationEdited(Exception):
    """An applied migration's file is no longer what was applied."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"migration {name} was changed after it was applied here: restore it and add a new one instead"
        )


def migrations() -> Iterator[tuple[str, str]]:
    """Name and text of every migration, in order."""
    for file in sorted(files("eventstore.sql.migrations").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            yield file.name, file.read_text(encoding="utf-8")


async def migrate(dsn: str, *, before: bool = False) -> list[str]:
    """Apply the missing migrations as the owner, and return their names.

    With `before`, stop before the first migration that the previous version's services cannot run with. The owner must
    be allowed to create roles. Raises `MigrationEdited` if an applied migration was changed.
    """
    connection = await asyncpg.connect(dsn, server_settings={"search_path": SETTINGS["search_path"]})
    try:
        await connection.execute(QUERIES["lock_migrations"])
        await connection.execute(QUERIES["create_migrations"])
        hashes = {row["name"]: row["sha256"] for row in await connection.fetch(QUERIES["applied_migrations"])}
        due = takewhile(lambda file: not before or _harmless(file[0], hashes), migrations())
        applied = [name for name, text in due if await _apply(connection, name, text, hashes)]
        await _allow_writers(connection)
        await limit_roles(connection)
        return applied
    finally:
        await connection.close()


def _harmless(name: str, hashes: Mapping[str, str]) -> bool:
    """Whether the migration is applied already or removes nothing; `hashes` are those of the applied ones."""
    return name in hashes or not name.endswith(AFTER)


async def _apply(connection: asyncpg.Connection, name: str, text: str, hashes: Mapping[str, str]) -> bool:
    """Apply one migration unless `hashes` has it; return whether it was applied."""
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    if hashes.get(name, sha256) != sha256:
        raise MigrationEdited(name)
    if name in hashes:
        return False
    async with connection.transaction():
        await connection.execute(text)
        await connection.execute(QUERIES["record_migration"], name, sha256)
    return True


async def _allow_writers(connection: asyncpg.Connection) -> None:
    """Make the table of writers what the code says."""
    rows = [(model.__name__, role(service)) for model, services in WRITERS.items() for service in services]
    async with connection.transaction():
        await connection.execute(QUERIES["forget_writers"])
        await connection.executemany(QUERIES["add_writer"], rows)


async def provision(dsn: str, passwords: Mapping[str, str]) -> None:
    """Let each service (key) log in as its role with a password (value), as the owner and after `migrate`.

    What whoever had the password before has set for the role is taken away.
    """
    connection = await asyncpg.connect(dsn)
    try:
        for service, password in passwords.items():
            await connection.execute(await connection.fetchval(QUERIES["quote_login"], role(service), password))
        await limit_roles(connection)
    finally:
        await connection.close()
