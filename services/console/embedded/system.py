"""The whole system on one machine: PostgreSQL and the broker from wheels, and the five services as processes.

If the broker dies, all services restart, because the new broker has another address.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from eventstore.embedded.broker import EmbeddedBroker
from eventstore.embedded.hosted import Hosted, Silent
from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.migrate import migrate, provision
from schemas.registry import READERS, SERVICES
from services.console.client import settings_from_environment
from services.console.embedded.concurrency import first, uninterrupted
from services.console.embedded.run_folder import RunFolder, secret
from services.console.embedded.supervisor import Command, keep_running
from services.runtime.ports import free_ports
from services.runtime.settings import Settings
from services.runtime.user_error import UserError

LOOK_SECONDS = 0.2
"""Seconds between two checks that the broker and the database run."""
STARTS = 3
"""Starts of a database or broker that something kills before it is ready."""
PAUSE_SECONDS = 1.0
"""Seconds between two of them."""
MOST_WORKERS = 8
PASSED = {
    "*": ("lease_seconds", "catch_up_seconds", "idle_seconds"),
    "trainer": ("workers", "rank_seconds"),
    "oracle": (
        *("workers", "anchor_seconds", "oracle_items", "board_token_file"),
        *("engine", "engine_url", "engine_key_file", "engine_seconds"),
    ),
    "console": ("bases",),
    "recipes": ("advisor_url", "advisor_key_file"),
}
"""Settings that a service gets as this command got them; the run itself decides all others."""
KEY_NAME = "oracle.key"
"""File of the sealed sets' key, in the state of a run folder and in the user's cache folder."""


class Embedded:
    """The parts of one run folder; they live as long as the context."""

    def __init__(self, folder: RunFolder, lock: int, page: int | None = None, beside: Path | None = None) -> None:
        self.folder, self.lock = folder, lock
        self.beside = beside
        """Folder of the campaign file, whose files the services may read."""
        self.page = page
        """Port of the web page; None where none is served."""
        served = [name for name in SERVICES if name != "console"]
        self.ports = dict(zip(served, free_ports(len(served)), strict=True))
        """Port of the pages of each service."""
        self.database = EmbeddedPostgres(folder.state / "postgres")

    async def __aenter__(self) -> Self:
        try:
            await uninterrupted(lambda: _start(self.database))
            await migrate(self.database.dsn)
            await provision(self.database.dsn, {n: self.folder.password(n).read_text() for n in (*SERVICES, *READERS)})
            self.settings = console_settings(self.folder, self.database.host)
            if paths := _task_path(self.settings, self.beside):
                self.settings = self.settings.model_copy(update={"task_path": paths["AEVOLVE_TASK_PATH"]})
            self._write_settings()
        except BaseException:
            await uninterrupted(self.database.stop)
            raise
        return self

    def _write_settings(self, *names: str) -> None:
        """Write, for the other commands, the settings that they need to reach this run."""
        always = {"postgres", "password_file", "anchor_file", "anchor_public_key", "task_path"}
        self.folder.write_settings(self.settings.model_dump_json(include=always | set(names)))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await uninterrupted(self.database.stop)

    async def supervise(self) -> NoReturn:
        """Keep everything running until cancelled. Raises `UserError` if a part cannot be restarted."""
        await first(self._keep_database(), self._keep_services())
        raise AssertionError("both go on for ever")

    async def _keep_database(self) -> NoReturn:
        """Restart the database when it dies. The services reconnect by themselves: its address is the same."""
        while True:
            await _death(self.database)
            await uninterrupted(self.database.stop)
            await uninterrupted(lambda: _start(self.database))

    async def _keep_services(self) -> NoReturn:
        while True:
            broker = EmbeddedBroker()
            try:
                await uninterrupted(partial(_start, broker))
                self.settings = self.settings.model_copy(update={"kafka": broker.address})
                self._write_settings("kafka")
                await first(keep_running(_services(self, broker)), _death(broker))
            finally:
                await uninterrupted(broker.stop)


def console_settings(folder: RunFolder, host: str) -> Settings:
    """How this process reaches the database."""
    return settings_from_environment(
        postgres=f"postgresql:///postgres?host={host}",
        password=None,
        password_file=folder.password("console"),
        artifacts=str(folder.state / "artifacts"),
        embedded=True,
        anchor_file=folder.anchors,
        anchor_public_key=str(folder.public_key),
    )


def _start(server: Hosted) -> None:
    """Start a server; again where it is killed meanwhile. Raises `UserError`."""
    for start in range(STARTS):
        try:
            server.start()
        except Silent as error:
            if start == STARTS - 1:
                raise UserError(f"embedded: {error}, {STARTS} times: free some memory, and see dmesg") from error
            time.sleep(PAUSE_SECONDS)
        except RuntimeError as error:
            raise UserError(f"embedded: {error}") from error
        else:
            return


async def _death(server: Hosted) -> None:
    while server.running:  # noqa: ASYNC110 - another process's life has no event to wait for
        await asyncio.sleep(LOOK_SECONDS)


def _services(system: Embedded, broker: EmbeddedBroker) -> Iterator[Command]:
    folder, settings = system.folder, system.settings
    for name, port in system.ports.items():
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
            **_task_path(settings, system.beside),
        }
        if name == "oracle":
            env["AEVOLVE_ORACLE_KEY_FILE"] = str(oracle_key(folder, settings.cache))
            env["AEVOLVE_ANCHOR_KEY_FILE"] = str(folder.anchor_key)
            env["AEVOLVE_ANCHOR_FILE"] = str(folder.anchors)
        argv = ("services.console", "serve", name)
        environment = {**clean_environment(), **_variables_for(name, settings), **env}
        yield Command(name, argv, folder.log(name), environment, (system.lock,))
    if system.page is not None:
        yield _page(system, broker)
    if settings.metrics_port:
        yield _exporter(system)


def _page(system: Embedded, broker: EmbeddedBroker) -> Command:
    """The web page: on loopback, so without a login."""
    folder, settings = system.folder, system.settings
    env = {
        "AEVOLVE_POSTGRES": settings.postgres,
        "AEVOLVE_PASSWORD_FILE": str(folder.password("console")),
        "AEVOLVE_KAFKA": broker.address,
        "AEVOLVE_EMBEDDED": "true",
        "AEVOLVE_ARTIFACTS": settings.artifacts,
        "AEVOLVE_CACHE": str(settings.cache),
        **_task_path(settings, system.beside),
        "AEVOLVE_ANCHOR_FILE": str(folder.anchors),
        "AEVOLVE_ANCHOR_PUBLIC_KEY": str(folder.public_key),
    }
    argv = ("services.console", "console", "--port", str(system.page))
    environment = {**clean_environment(), **_variables_for("console", settings), **env}
    return Command("console", argv, folder.log("console"), environment, (system.lock,))


def _exporter(system: Embedded) -> Command:
    """The metrics exporter; started only if its port is set."""
    folder, settings = system.folder, system.settings
    env = {
        "AEVOLVE_POSTGRES": settings.postgres,
        "AEVOLVE_PASSWORD_FILE": str(folder.password("exporter")),
        "AEVOLVE_METRICS_PORT": str(settings.metrics_port),
    }
    environment = {**clean_environment(), **_variables_for("exporter", settings), **env}
    return Command("exporter", ("services.console", "exporter"), folder.log("exporter"), environment, (system.lock,))


def _variables_for(service: str, settings: Settings) -> dict[str, str]:
    """The variables of this command's environment that are meant for a service, its log format, and its jobs."""
    variables: dict[str, str] = {"AEVOLVE_LOG_FORMAT": settings.log_format}
    if service in SERVICES and service != "console":
        variables["AEVOLVE_WORKERS"] = str(_workers(service))
    passed = {f"AEVOLVE_{name.upper()}": name for name in (*PASSED["*"], *PASSED.get(service, ()))}
    return variables | {
        variable: str(Path(os.environ[variable]).absolute()) if name.endswith("_file") else os.environ[variable]
        for variable, name in passed.items()
        if os.environ.get(variable)
    }


def _task_path(settings: Settings, beside: Path | None) -> dict[str, str]:
    """Where the campaign's files may come from: the folders of this command, and that of the campaign file."""
    if settings.task_path is None and beside is None:
        return {}
    named = settings.task_path or str(Path.cwd())
    folders = [str(Path(folder).absolute()) for folder in named.split(os.pathsep) if folder]
    beside_too = [str(beside)] if beside else []
    return {"AEVOLVE_TASK_PATH": os.pathsep.join(dict.fromkeys([*folders, *beside_too]))}


def oracle_key(folder: RunFolder, cache: Path) -> Path:
    """The run's key of the sealed sets.

    A new run takes the user's, so that runs with one seed are measured on the same items. It stays the run's own, so
    that another user, or another machine, can rescore and resume the run.
    """
    own = folder.state / KEY_NAME
    return own if own.exists() else secret(own, secret(cache / KEY_NAME).read_text())


def clean_environment() -> dict[str, str]:
    """The environment without settings that are meant for other processes."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AEVOLVE_")}


def _workers(service: str) -> int:
    """Jobs side by side: training and scoring use one core each."""
    return min(len(os.sched_getaffinity(0)), MOST_WORKERS) if service in ("trainer", "oracle") else 1
