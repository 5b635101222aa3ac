"""The whole system on one machine: PostgreSQL and the broker from wheels, and the five services as processes.

The broker's death is the one failure that is everybody's: a new one has another address, so all services start again.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

from eventstore.embedded.broker import EmbeddedBroker
from eventstore.embedded.hosted import Hosted
from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.migrate import migrate, provision
from schemas.events import SERVICES
from services.console.problem import Problem
from services.console.run_folder import RunFolder, secret
from services.console.supervisor import Command, keep_running
from services.console.tasks import first, uninterrupted
from services.runtime.settings import Settings

LOOK_SECONDS = 0.2
"""How often the broker and the database are looked after."""
MOST_WORKERS = 8


@asynccontextmanager
async def database(folder: RunFolder) -> AsyncIterator[Settings]:
    """PostgreSQL with the newest schema and a login per service; yields the console's settings."""
    server = EmbeddedPostgres(folder.state / "postgres")
    try:
        await uninterrupted(lambda: _start(server))
        await migrate(server.dsn)
        await provision(server.dsn, {name: folder.password(name).read_text() for name in SERVICES})
        settings = console_settings(folder, server.host)
        folder.settings.write_text(settings.model_dump_json(include={"postgres", "password_file"}, indent=1) + "\n")
        yield settings
    finally:
        await uninterrupted(server.stop)


def console_settings(folder: RunFolder, host: str) -> Settings:
    """How this process reaches the database."""
    return Settings(
        postgres=f"postgresql:///postgres?host={host}",
        password=None,
        password_file=folder.password("console"),
        artifacts=str(folder.state / "artifacts"),
        embedded=True,
    )


async def supervise(folder: RunFolder, settings: Settings, lock: int, ports: dict[str, int]) -> NoReturn:
    """Keep the broker and the services running until cancelled. Raises `Problem` where one keeps dying."""
    while True:
        broker = EmbeddedBroker()
        try:
            await uninterrupted(lambda broker=broker: _start(broker))  # type: ignore[misc]
            await first(keep_running(_services(folder, settings, broker, lock, ports)), _death(broker))
        finally:
            await uninterrupted(broker.stop)


def free_ports() -> dict[str, int]:
    """A port for the pages of each service."""
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in SERVICES if name != "console"}
    ports = {name: opened.getsockname()[1] for name, opened in sockets.items()}
    for opened in sockets.values():
        opened.close()
    return ports


def _start(server: Hosted) -> None:
    try:
        server.start()
    except RuntimeError as error:
        raise Problem(f"embedded: {error}") from error


async def _death(server: Hosted) -> None:
    while server.running:  # noqa: ASYNC110 - another process's life has no event to wait for
        await asyncio.sleep(LOOK_SECONDS)


def _services(
    folder: RunFolder, settings: Settings, broker: EmbeddedBroker, lock: int, ports: dict[str, int]
) -> Iterator[Command]:
    for name, port in ports.items():
        env = {
            "AEVOLVE_POSTGRES": settings.postgres,
            "AEVOLVE_PASSWORD_FILE": str(folder.password(name)),
            "AEVOLVE_KAFKA": broker.address,
            "AEVOLVE_INCARNATION": broker.incarnation,
            "AEVOLVE_EMBEDDED": "true",
            "AEVOLVE_ARTIFACTS": settings.artifacts,
            "AEVOLVE_WORK": str(folder.state / "work"),
            "AEVOLVE_CACHE": str(settings.cache),
            "AEVOLVE_PORT": str(port),
            "AEVOLVE_WORKERS": str(_workers(name)),
        }
        if name == "oracle":
            env["AEVOLVE_ORACLE_KEY_FILE"] = str(oracle_key(settings.cache))
        argv = ("services.console", "serve", name)
        yield Command(name, argv, folder.log(name), {**clean_environment(), **env}, (lock,))


def oracle_key(cache: Path) -> Path:
    """The key of the sealed sets: one per user, so that runs with one seed are measured on the same items."""
    return secret(cache / "oracle.key")


def clean_environment() -> dict[str, str]:
    """The environment without settings that are meant for other processes."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AEVOLVE_")}


def _workers(service: str) -> int:
    """Jobs side by side: training and scoring use one core each."""
    return min(len(os.sched_getaffinity(0)), MOST_WORKERS) if service in ("trainer", "oracle") else 1
