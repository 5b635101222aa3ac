"""A real PostgreSQL for the whole session, and a fresh database with the log's schema for each module that asks."""

from __future__ import annotations

import os
import re
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings

from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.migrate import migrate, provision
from eventstore.store import EventStore
from schemas.campaign import Axis, Budget, Campaign, Constitution, Evaluation, ItemSet, Substrate
from schemas.events import CampaignStarted
from schemas.registry import SERVICES
from tests.brokers import KIND

settings.register_profile("any machine", deadline=None)  # no test asserts how long it takes
settings.load_profile("any machine")

os.environ.setdefault("AEVOLVE_TASK_PATH", tempfile.gettempdir())
"""Campaigns of tests name task files that the tests write."""

PASSWORDS = {service: f"secret of {service}" for service in SERVICES}
"""Of the service roles, in every test database."""

TEMPLATE = "migrated"
NUMBERS = count()

Stores = Callable[[str], Awaitable[EventStore]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what another broker is needed for to the run that has it (`make test-kafka`)."""
    others = [item for item in items if (mark := item.get_closest_marker("broker")) and KIND not in mark.args]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """The server of the session. Its data is thrown away, so nothing waits for the disk."""
    with EmbeddedPostgres(Path(tmp_path_factory.mktemp("postgres"))) as server:
        connection = await asyncpg.connect(server.dsn)
        await connection.execute("ALTER SYSTEM SET fsync = off")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()
        yield server
        os.kill(server.said["pid"], signal.SIGQUIT)


def in_database(dsn: str, name: str) -> str:
    """The DSN with another database."""
    return dsn.replace("/postgres?", f"/{name}?")


async def create_database(postgres: EmbeddedPostgres, name: str, template: str = "template1") -> str:
    """A new database; its owner's DSN."""
    connection = await asyncpg.connect(postgres.dsn)
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    finally:
        await connection.close()
    return in_database(postgres.dsn, name)


@pytest.fixture(scope="session")
async def migrated(postgres: EmbeddedPostgres) -> str:
    """Name of a database with the log's schema and no events, to copy from."""
    owner = await create_database(postgres, TEMPLATE)
    await migrate(owner)
    await provision(owner, PASSWORDS)
    return TEMPLATE


@pytest.fixture(scope="module")
async def database(postgres: EmbeddedPostgres, migrated: str, request: pytest.FixtureRequest) -> str:
    """The owner's DSN of a database with an empty log, for this module alone."""
    name = re.sub(r"\W", "_", request.module.__name__)[-60:]
    return await create_database(postgres, name, migrated)


@pytest.fixture(scope="module")
async def stores(database: str) -> AsyncIterator[Stores]:
    """Opens the module's store as a service: `await stores("trainer")`. Asked twice it gives the same one."""
    opened: dict[str, EventStore] = {}

    async def open_store(service: str) -> EventStore:
        if service not in opened:
            opened[service] = await EventStore.open(database, service=service, password=PASSWORDS[service])
        return opened[service]

    yield open_store
    for store in opened.values():
        await store.close()


@pytest.fixture
async def trainer(stores: Stores) -> EventStore:
    """The module's store as the trainer sees it."""
    return await stores("trainer")


@pytest.fixture
def queue() -> str:
    """Name of a work queue that no other test uses."""
    return f"queue{next(NUMBERS)}"


@pytest.fixture
async def owner(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of the database's owner, who is a superuser."""
    connection = await asyncpg.connect(database, server_settings={"search_path": "aevolve"})
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
def started() -> CampaignStarted:
    """The start of a small campaign that is open to `aevolve emit`."""
    few = ItemSet(items=8)
    constitution = Constitution(
        evaluation=Evaluation(dev=few, confirm=few, external=few, final=few),
        budget=Budget(external_queries=4),
        space=(Axis(knob="rank", values=(8, 16)),),
    )
    campaign = Campaign(name="small", test=True, constitution=constitution)
    substrate = Substrate(base_sha256="0" * 64, code_sha256="1" * 64, base_uri="file:base", active_parameters=1)
    return CampaignStarted(campaign=campaign, constitution_sha256=campaign.constitution_sha256, substrate=substrate)
