"""A campaign's events, from wherever they can be read: a live log, or the copy that a finished run has left."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import typer

from schemas.envelope import Envelope
from services.console.client import DEFAULT_RUN, PLACES, Unreachable, connected, read_settings
from services.console.log_file import read_envelopes
from services.runtime.user_error import UserError, nearest

COPY = "log.jsonl"
"""What `aevolve demo` and `aevolve report` write beside the report."""


async def told(file: Path | None, run: Path | None, campaign: str | None) -> list[Envelope]:
    """One campaign's events in log order: of the file, else of the log that is alive, else of the run's copy.

    Without a campaign id it is the one that was started last. Raises `UserError` where there is none.
    """
    if file:
        return of_campaign(read_envelopes(file), campaign)
    try:
        return await _alive(run, campaign)
    except Unreachable:
        return of_campaign(_copied(run), campaign)


async def of_type(type_: str, file: Path | None, run: Path | None) -> list[Envelope]:
    """The events of one type, of every campaign, in log order; from where `told` reads. Raises `UserError`."""
    if file:
        return [envelope for envelope in read_envelopes(file) if envelope.type == type_]
    try:
        async with connected(read_settings(run)) as store:
            return [envelope async for envelope in store.read(types=[type_])]
    except Unreachable:
        return [envelope for envelope in _copied(run) if envelope.type == type_]


def _copied(run: Path | None) -> Iterator[Envelope]:
    """What a finished run has left. Raises the `Unreachable` that is being handled where there is nothing."""
    copy = (run or DEFAULT_RUN) / COPY
    named = run is None and PLACES & os.environ.keys()
    if named or not copy.exists():  # who names a database is not answered from another place
        raise  # noqa: PLE0704 - called where one is handled
    typer.echo(f"no log is alive; reading {copy}", err=True)
    return read_envelopes(copy)


def of_campaign(envelopes: Iterable[Envelope], campaign: str | None, option: str = "--campaign") -> list[Envelope]:
    """The events of one campaign, by default of the one that was started last; `option` is how it was named."""
    held = list(envelopes)
    wanted = choose([envelope.correlationid for envelope in held], campaign, option)
    return [envelope for envelope in held if envelope.correlationid == wanted]


def choose(known: Iterable[str], campaign: str | None, option: str = "--campaign") -> str:
    """The campaign that was asked for, else the last that began. Raises `UserError` where there is none."""
    ids = list(dict.fromkeys(known))
    if not ids:
        raise UserError("the log holds no campaign; start one with `aevolve start` or `aevolve demo`")
    if campaign is not None and campaign not in ids:
        raise UserError(f"{option}: {campaign!r} is not in the log; {nearest(campaign, ids)}")
    return campaign or ids[-1]


async def _alive(run: Path | None, campaign: str | None) -> list[Envelope]:
    async with connected(read_settings(run)) as store:
        wanted = choose([known.id for known in await store.campaigns()], campaign)
        return [envelope async for envelope in store.read(campaign=wanted)]
