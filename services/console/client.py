"""The console's settings and its connection to the log: of the environment, or of an embedded run."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import asyncpg
from pydantic import ValidationError

from eventstore.connect import tls_fault
from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.errors import DISCONNECTED
from eventstore.store import EventStore
from judgement.history import History
from services.console.embedded.run_folder import RunFolder
from services.console.paths import DEFAULT_RUN
from services.runtime.settings import Settings
from services.runtime.user_error import UserError, nearest

ADDRESSES = {"AEVOLVE_POSTGRES", "AEVOLVE_KAFKA"}
"""Variables that name a system, so that the default run is not looked for."""


class Unreachable(UserError):
    """The log cannot be reached."""


class UnknownCampaign(UserError):
    """The log holds no campaign of this id."""


def read_settings(run: Path | None, role: str = "console") -> Settings:
    """The settings of this process: of the run in a folder, else of the environment, else of the default run.

    A run's folder holds the password of each role.

    Raises `UserError` for a variable with a wrong value, or a folder without a run.
    """
    folder = _folder(run)
    if folder is None:
        return settings_from_environment()
    if not folder.settings.exists():
        raise Unreachable(f"--run: {run}; no run lies there: start one with `aevolve up --out {run}`")
    recorded = json.loads(folder.settings.read_text())
    return settings_from_environment(**recorded | {"password_file": folder.password(role), "password": None})


def _folder(run: Path | None) -> RunFolder | None:
    """The named run, else the default one where no address is set and it is there."""
    if run is None and not ADDRESSES & os.environ.keys() and RunFolder(DEFAULT_RUN).settings.exists():
        run = DEFAULT_RUN
    return RunFolder(run) if run else None


def settings_from_environment(**values: Any) -> Settings:
    """The environment's settings, except these values. Raises `UserError` for a variable with a wrong value."""
    try:
        return Settings(**values)
    except ValidationError as error:
        lines = (f"AEVOLVE_{str(d['loc'][0]).upper()}: {d['input']!r}; {d['msg']}" for d in error.errors())
        raise UserError("\n".join(lines)) from error


@asynccontextmanager
async def connected(settings: Settings, role: str = "console") -> AsyncIterator[EventStore]:
    """The log as a role. Raises `Unreachable`."""
    try:
        store = await EventStore.open(settings.postgres, service=role, password=settings.secret())
    except (*DISCONNECTED, asyncpg.PostgresError) as error:
        reason = tls_fault(settings.postgres, error) or (
            f"{error or type(error).__name__}: "
            "start the database, correct the address or the password, or name the folder of a running embedded run by "
            "--run (`aevolve up` starts one)"
        )
        raise Unreachable(f"AEVOLVE_POSTGRES: {settings.postgres}; {reason}") from error
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def opened(run: Path | None) -> AsyncIterator[EventStore]:
    """The log of a run, or of the environment. A run that has ended is as open as a live one: its database is started.

    Raises `UserError`.
    """
    settings, folder = read_settings(run), _folder(run)
    with folder.lock_if_free() if folder else nullcontext(enter_result=False) as ended:
        database = EmbeddedPostgres(folder.state / "postgres") if folder and ended else None
        if database:
            try:
                await asyncio.to_thread(database.start)
            except RuntimeError as error:
                raise Unreachable(f"--run: {run or DEFAULT_RUN}; {error}") from error
        try:
            async with connected(settings) as store:
                yield store
        finally:
            if database:
                await asyncio.to_thread(database.stop)


async def history_of(store: EventStore, campaign: str) -> History:
    """A campaign's state. Raises `UnknownCampaign`."""
    return await caught_up(store, History(campaign))


async def caught_up(store: EventStore, history: History) -> History:
    """A campaign's state, advanced to the head of the log.

    Raises `UnknownCampaign`, or `UnreadableEvent` where the campaign's start is one.
    """
    async for envelope in store.read(after=history.position, campaign=history.id):
        history.apply(envelope)
    if history.campaign is None:
        if history.unreadable:
            raise history.unreadable[0]
        ids = [c.id for c in await store.campaigns()]
        raise UnknownCampaign(f"campaign: {history.id!r} is not in the log; {nearest(history.id, ids)}")
    return history


def new_id(name: str) -> str:
    """An id for a campaign of this name: the name and eight random characters of base 32."""
    suffix = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(8))
    return f"{name}-{suffix}"


def operator() -> str:
    """Name of the user who runs the command."""
    return getpass.getuser()
