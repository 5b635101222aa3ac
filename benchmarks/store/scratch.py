"""The PostgreSQL of one run: the embedded one with the settings that services get, on a folder that is thrown away."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import asyncpg

from benchmarks.store.statements import STATEMENTS
from eventstore.embedded.postgres import DATABASE, EmbeddedPostgres
from eventstore.migrate import migrate, provision
from eventstore.store import EventStore
from schemas.registry import SERVICES

PASSWORD = "scratch"  # noqa: S105  # of a server that lives for one run, behind a socket in its own folder
MIGRATED = "migrated"


@dataclass
class Scratch:
    """A running server, and how much is to be measured on it."""

    server: EmbeddedPostgres
    folder: Path
    """A folder on the server's disk."""
    quick: bool
    """Whether it is enough to see that everything runs."""
    _numbers: count[int] = field(default_factory=count)

    @property
    def repetitions(self) -> int:
        """Of each side."""
        return 1 if self.quick else 5

    @property
    def seconds(self) -> float:
        """Length of one repetition of what runs against the clock."""
        return 0.1 if self.quick else 2.0

    def number(self, full: int) -> int:
        """How many there shall be where a full run takes `full`."""
        return max(full // 100, 1) if self.quick else full

    async def prepare(self) -> None:
        """Make the database with the log's schema that the others are copied from."""
        await provisioned(await self._create(MIGRATED, "template1"))

    async def slow_commits(self, milliseconds: int) -> None:
        """Have the server wait so long before each flush of commits, in place of a disk that takes so long."""
        await self._owner(f"ALTER SYSTEM SET commit_delay = {1000 * milliseconds}")
        await self._owner("ALTER SYSTEM SET commit_siblings = 0")
        await self._owner("SELECT pg_reload_conf()")

    async def log(self) -> str:
        """A new database with an empty log; its owner's DSN."""
        return await self._create(f"log_{next(self._numbers)}", MIGRATED)

    async def empty(self) -> str:
        """A new database with nothing in it; its owner's DSN."""
        return await self._create(f"empty_{next(self._numbers)}", "template1")

    async def tidy(self, dsn: str) -> None:
        """Leave the server nothing to do after a log was copied in."""
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(STATEMENTS["tidy"])
        finally:
            await connection.close()

    async def drop(self, dsn: str) -> None:
        """Give a database's room back."""
        await self._owner(f'DROP DATABASE "{database_name(dsn)}"')

    async def _create(self, name: str, template: str) -> str:
        await self._owner(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.server.dsn.replace(f"/{DATABASE}?", f"/{name}?")

    async def _owner(self, statement: str) -> None:
        connection = await asyncpg.connect(self.server.dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def database_name(dsn: str) -> str:
    """The database that a DSN names."""
    return dsn.partition("?")[0].rpartition("/")[2]


async def provisioned(dsn: str) -> None:
    """Give a database the log's schema and every service its password."""
    await migrate(dsn)
    await provision(dsn, dict.fromkeys(SERVICES, PASSWORD))


async def open_store(dsn: str, service: str = "trainer") -> EventStore:
    """A database's store with the settings that a service has."""
    return await EventStore.open(dsn, service=service, password=PASSWORD)
