"""Reads a campaign's events from a file, the live log, or the copy that a finished run left."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import typer

from schemas.envelope import Envelope
from services.console.client import ADDRESSES, Unreachable, connected, read_settings
from services.console.log_file import read_envelopes
from services.console.paths import DEFAULT_RUN
from services.runtime.user_error import UserError, nearest

COPY = "log.jsonl"
"""The copy that `aevolve demo` and `aevolve report` write beside the report."""


async def campaign_events(file: Path | None, run: Path | None, campaign: str | None) -> list[Envelope]:
    """One campaign's events in log order: of the file, else of the live log, else of the run's copy.

    Without a campaign id it is the one that was started last. Raises `UserError` if there is none.
    """
    if file:
        return of_campaign(read_envelopes(file), campaign)
    try:
        async with connected(read_settings(run)) as store:
            id_ = choose([row.id for row in await store.campaigns()], campaign)
            return [envelope async for envelope in store.read(campaign=id_)]
    except Unreachable:
        return of_campaign(_read_copy(run), campaign)


async def events_of_type(type_: str, file: Path | None, run: Path | None) -> list[Envelope]:
    """The events of one type of all campaigns, from the same places. Raises `UserError`."""
    if file:
        return [envelope for envelope in read_envelopes(file) if envelope.type == type_]
    try:
        async with connected(read_settings(run)) as store:
            return [envelope async for envelope in store.read(types=[type_])]
    except Unreachable:
        return [envelope for envelope in _read_copy(run) if envelope.type == type_]


def _read_copy(run: Path | None) -> Iterator[Envelope]:
    """The log copy of a finished run. Raises again the `Unreachable` that is being handled if there is none."""
    copy = (run or DEFAULT_RUN) / COPY
    if (run is None and ADDRESSES & os.environ.keys()) or not copy.exists():
        raise  # noqa: PLE0704 - a database that was named is not replaced by the copy of another
    typer.echo(f"no live log; reading {copy}", err=True)
    return read_envelopes(copy)


def of_campaign(envelopes: Iterable[Envelope], campaign: str | None, option: str = "--campaign") -> list[Envelope]:
    """The events of one campaign, by default of the one that was started last; `option` named it."""
    events = list(envelopes)
    id_ = choose([envelope.correlationid for envelope in events], campaign, option)
    return [envelope for envelope in events if envelope.correlationid == id_]


def choose(campaigns: Iterable[str], campaign: str | None, option: str = "--campaign") -> str:
    """The named campaign, else the one that was started last. Raises `UserError` if there is none."""
    ids = list(dict.fromkeys(campaigns))
    if not ids:
        raise UserError("the log holds no campaign; start one with `aevolve start` or `aevolve demo`")
    if campaign is not None and campaign not in ids:
        raise UserError(f"{option}: {campaign!r} is not in the log; {nearest(campaign, ids)}")
    return campaign or ids[-1]
