"""The commands that talk to the log, wherever it is: start and steer a campaign, look at it, write its report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console

from audit.narrate import narrate
from eventstore.effect import Append
from eventstore.errors import NotAWriter
from eventstore.store import EventStore
from judgement.history import FOLDS, History
from schemas.envelope import Envelope
from services.console.campaign_control import Steering, say, start_campaign
from services.console.campaign_file import load
from services.console.client import connected, history_of, new_id, operator, read_settings
from services.console.embedded.run_folder import RunFolder
from services.console.emitted import known_type, read_events
from services.console.report.data import Clock
from services.console.report.write import write
from services.console.table import headline, view
from services.console.warm_start import warmed
from services.runtime.user_error import UserError

LOOK_SECONDS = 1.0
"""Longest time between two looks at the log."""


async def start(
    file: Path,
    folder: Path | None,
    warm_from: str | None = None,
    warm_file: Path | None = None,
    *,
    once: bool = False,
) -> None:
    """Start a campaign, warm where an earlier one is named, and print its id.

    `once` is for whoever starts it with every start of the machine: a campaign of this name is left as it is.
    """
    campaign, settings = load(file), read_settings(folder)
    async with connected(settings) as store:
        if once and (held := [known.id for known in await store.campaigns() if known.name == campaign.name]):
            typer.echo(held[-1])
            return
        campaign = await warmed(campaign, store, warm_from, warm_file)
        id_ = new_id(campaign.name)
        await start_campaign(store, settings, id_, campaign, lambda words: typer.echo(words, err=True))
        typer.echo(id_)


async def status(campaign: str | None, folder: Path | None) -> None:
    """Print one line per campaign, or one campaign's table."""
    console = Console()
    async with connected(read_settings(folder)) as store:
        if campaign:
            history = await history_of(store, campaign)
            console.print(view(history, await store.progress(campaign), datetime.now(UTC)))
            return
        for summary in await store.campaigns():
            history = await history_of(store, summary.id)
            words = headline(history, await store.progress(summary.id), datetime.now(UTC))
            console.print(f"{summary.started.astimezone():%Y-%m-%d %H:%M}  {words}", soft_wrap=True)


async def events(
    folder: Path | None, campaign: str | None, types: list[str] | None, *, follow: bool, as_json: bool
) -> None:
    """Print the log."""
    for type_ in types or ():
        known_type(type_)
    async with connected(read_settings(folder)) as store:
        if campaign:
            await history_of(store, campaign)
        async for envelope in _log(store, campaign, types or None, follow=follow):
            typer.echo(envelope.model_dump_json() if as_json else _line(envelope))


async def _log(
    store: EventStore, campaign: str | None, types: list[str] | None, *, follow: bool
) -> AsyncIterator[Envelope]:
    position = 0
    while True:
        head = await store.head()
        async for envelope in store.read(after=position, campaign=campaign, types=types):
            yield envelope
            position = envelope.sequence
        if not follow:
            return
        position = max(position, head)
        await store.wait(position, LOOK_SECONDS)


def _line(envelope: Envelope) -> str:
    return f"{envelope.sequence:6} {envelope.time.astimezone():%H:%M:%S} {envelope.subject:28} {narrate(envelope)}"


async def emit(file: Path, folder: Path | None) -> None:
    """Append the events of a file."""
    appends = read_events(file)
    async with connected(read_settings(folder)) as store:
        histories = {append.campaign: await history_of(store, append.campaign) for append in appends}
        for append in appends:
            _rehearse(histories[append.campaign], append)
        try:
            await store.append(appends)
        except NotAWriter as refused:
            raise UserError(f"type: {refused}") from refused
    typer.echo(f"{len(appends)} events appended")


def _rehearse(history: History, append: Append) -> None:
    """Raise `UserError` for an event that may not be appended, or that would make the history unreadable."""
    if not history.campaign.test:
        raise UserError(f"campaign: {history.id!r} is no test; start one whose file says `test: true`")
    type_ = type(append.event).__name__
    try:
        if fold_one := FOLDS.get(type_):
            fold_one(history, append.event, datetime.now(UTC))
    except KeyError as unknown:
        raise UserError(
            f"{type_}: {unknown.args[0]!r} is not in campaign {history.id!r} yet: propose it first"
        ) from unknown


async def steer(
    campaign: str,
    event: type[Steering],
    reason: str,
    folder: Path | None,
) -> None:
    """Pause, resume or stop a campaign."""
    async with connected(read_settings(folder)) as store:
        await say(store, campaign, event(by=operator(), reason=reason))
    typer.echo(f"{campaign}: {event.__name__}")


async def report(campaign: str, out: Path, folder: Path | None) -> None:
    """Write the report of a campaign as far as it has come."""
    async with connected(read_settings(folder)) as store:
        await history_of(store, campaign)
        envelopes = [envelope async for envelope in store.read(campaign=campaign)]
    write(out, campaign, envelopes, lambda: _clock(folder, campaign))
    typer.echo(f"report: {out / 'report.md'}, {out / 'report.json'}, {out / 'report.png'}")


def _clock(folder: Path | None, campaign: str) -> Clock:
    """The clock of the run that holds the campaign; without one the events' own times count."""
    record = RunFolder(folder).record() if folder else None
    return record.clock() if record and record.campaign == campaign else Clock()
