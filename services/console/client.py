"""The console's connection to the log, wherever it is: the environment's, or an embedded run's."""

from __future__ import annotations

import getpass
import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from pydantic import ValidationError

from eventstore.connect import tls_fault
from eventstore.errors import DISCONNECTED
from eventstore.store import EventStore
from judgement.history import History
from services.console.embedded.run_folder import RunFolder
from services.runtime.settings import Settings
from services.runtime.user_error import UserError, nearest

DEFAULT_RUN = Path("runs/demo")
PLACES = {"AEVOLVE_POSTGRES", "AEVOLVE_KAFKA"}
"""Variables that say which system is meant, in place of the default run."""


class Unreachable(UserError):
    """No log answers where it was looked for."""


class UnknownCampaign(UserError):
    """The log holds no campaign of this id."""


def read_settings(run: Path | None, role: str = "console") -> Settings:
    """The settings of this process: of the run in a folder, else of the environment, else of the default run.

    A run's folder holds the password of each role.

    Raises `UserError` for a variable with a wrong value, or a folder without a run.
    """
    if run is None and not PLACES & os.environ.keys() and RunFolder(DEFAULT_RUN).settings.exists():
        run = DEFAULT_RUN
    if run is None:
        return from_environment()
    folder = RunFolder(run)
    if not folder.settings.exists():
        raise Unreachable(f"--run: {run}; no run lies there: start one with `aevolve up --out {run}`")
    known = json.loads(folder.settings.read_text())
    return Settings(**known | {"password_file": folder.password(role)}, password=None)


def from_environment() -> Settings:
    """The settings of the environment. Raises `UserError` for a variable with a wrong value."""
    try:
        return Settings()
    except ValidationError as error:
        lines = (f"AEVOLVE_{str(d['loc'][0]).upper()}: {d['input']!r}; {d['msg']}" for d in error.errors())
        raise UserError("\n".join(lines)) from error


@asynccontextmanager
async def connected(settings: Settings, role: str = "console") -> AsyncIterator[EventStore]:
    """The log as the console's role, or another. Raises `UserError` where it cannot be reached."""
    try:
        store = await EventStore.open(settings.postgres, service=role, password=settings.secret())
    except (*DISCONNECTED, asyncpg.PostgresError) as error:
        words = tls_fault(settings.postgres, error) or (
            f"{error or type(error).__name__}: "
            "start the database, correct the address or the password, or start an embedded run with `aevolve up`"
        )
        raise Unreachable(f"AEVOLVE_POSTGRES: {settings.postgres}; {words}") from error
    try:
        yield store
    finally:
        await store.close()


async def history_of(store: EventStore, campaign: str) -> History:
    """A campaign's state. Raises `UnknownCampaign`."""
    return await caught_up(store, History(campaign))


async def caught_up(store: EventStore, history: History) -> History:
    """A campaign's state, carried on to the head of the log. Raises `UnknownCampaign`."""
    async for envelope in store.read(after=history.position, campaign=history.id):
        history.apply(envelope)
    if history.campaign is None:
        known = [c.id for c in await store.campaigns()]
        raise UnknownCampaign(f"campaign: {history.id!r} is not in the log; {nearest(history.id, known)}")
    return history


def new_id(name: str) -> str:
    """An id for a campaign of this name: the name and eight random characters of base 32."""
    suffix = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(8))
    return f"{name}-{suffix}"


def operator() -> str:
    """Who gives the command."""
    return getpass.getuser()
