"""Start, steer and watch a campaign: start, pause, resume, stop, status, events, emit, report."""
# ruff: noqa: PLC0415 - `aevolve --help` imports this module

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.console.commands.options import CampaignId, Run, command

if TYPE_CHECKING:
    from eventstore.store import EventStore
    from schemas.envelope import Envelope
    from services.console.campaign_control import ControlEvent
    from services.console.report.data import Clock

POLL_SECONDS = 1.0
"""Longest time between two reads of the log."""

Reason = Annotated[str, typer.Option("--reason", help="Recorded in the log.")]

group = typer.Typer()


@command(group)
async def start(
    campaign: Annotated[Path, typer.Argument(metavar="CAMPAIGN.yaml", help="Campaign file.")],
    folder: Run = None,
    warm_from: Annotated[
        str | None, typer.Option(metavar="CAMPAIGN", help="Earlier campaign whose learned distributions to start from.")
    ] = None,
    warm_file: Annotated[
        Path | None, typer.Option(help="Read the earlier campaign from this log.jsonl instead of the live log.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="If the log holds a campaign of this name, print its id instead.")
    ] = False,
) -> None:
    """Start a campaign and print its id; the running services carry it out.

    With --warm-from or --warm-file the search starts from what an earlier campaign learned; scores are not reused.
    """
    from services.console.campaign_control import start_campaign
    from services.console.campaign_file import load
    from services.console.client import connected, new_id, read_settings
    from services.console.warm_start import with_warm_start

    described, settings = load(campaign), read_settings(folder)
    async with connected(settings) as store:
        if once and (ids := [earlier.id for earlier in await store.campaigns() if earlier.name == described.name]):
            typer.echo(ids[-1])
            return
        described = await with_warm_start(described, store, warm_from, warm_file)
        id_ = new_id(described.name)
        await start_campaign(store, settings, id_, described, lambda line: typer.echo(line, err=True))
        typer.echo(id_)


@command(group)
async def status(
    campaign: Annotated[str | None, typer.Argument(help="Campaign id.", show_default="all")] = None, folder: Run = None
) -> None:
    """Print the state of each campaign, or one campaign's table."""
    from datetime import UTC, datetime

    from rich.console import Console

    from schemas.unreadable import UnreadableEvent
    from services.console.client import history_of, opened
    from services.console.view.table import campaign_table, headline
    from services.runtime.user_error import printable

    console = Console()
    async with opened(folder) as store:
        if campaign:
            history = await history_of(store, campaign)
            console.print(campaign_table(history, await store.progress(campaign), datetime.now(UTC)))
            return
        for summary in await store.campaigns():
            try:
                history = await history_of(store, summary.id)
                line = headline(history, await store.progress(summary.id), datetime.now(UTC))
            except UnreadableEvent as error:  # the other campaigns are no worse for it
                line = printable(f"{summary.id}  unreadable: {error}")
            console.print(f"{summary.started.astimezone():%Y-%m-%d %H:%M}  {line}", soft_wrap=True)


@command(group)
async def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for further events.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, as recorded.")] = False,
    campaign: Annotated[str | None, typer.Option(help="Only this campaign.")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only this type; may be repeated.")] = None,
    folder: Run = None,
) -> None:
    """Print the log."""
    from audit.narrate import narrate
    from services.console.client import history_of, opened
    from services.console.log_file import known_type
    from services.runtime.user_error import printable

    for type_ in types or ():
        known_type(type_)
    async with opened(folder) as store:
        if campaign:
            await history_of(store, campaign)
        async for envelope in _log(store, campaign, types or None, follow=follow):
            line = f"{envelope.sequence:6} {envelope.time.astimezone():%H:%M:%S} {envelope.subject:28}"
            typer.echo(envelope.model_dump_json() if as_json else printable(f"{line} {narrate(envelope)}"))


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
        await store.wait(position, POLL_SECONDS)


@command(group)
async def emit(
    file: Annotated[Path, typer.Argument(help="JSON or JSON lines with campaign, subject, type, data.")],
    folder: Run = None,
) -> None:
    """Append events by hand, for tests; only into a campaign whose file has `test: true`."""
    from eventstore.errors import NotAWriter
    from services.console.campaign_control import check_test_event
    from services.console.client import history_of, opened
    from services.console.log_file import read_test_events
    from services.runtime.user_error import UserError

    appends = read_test_events(file)
    async with opened(folder) as store:
        histories = {append.campaign: await history_of(store, append.campaign) for append in appends}
        for append in appends:
            check_test_event(histories[append.campaign], append.event)
        try:
            await store.append(appends)
        except NotAWriter as refused:
            raise UserError(f"type: {refused}") from refused
    typer.echo(f"{len(appends)} events appended")


@command(group)
async def pause(campaign: CampaignId, reason: Reason = "by hand", folder: Run = None) -> None:
    """Make no new decision; running jobs finish."""
    from schemas.events import CampaignPaused

    await append_control(campaign, CampaignPaused, reason, folder)


@command(group)
async def resume(campaign: CampaignId, reason: Reason = "by hand", folder: Run = None) -> None:
    """Continue a paused campaign."""
    from schemas.events import CampaignResumed

    await append_control(campaign, CampaignResumed, reason, folder)


@command(group)
async def stop(campaign: CampaignId, reason: Reason = "by hand", folder: Run = None) -> None:
    """End a campaign for good and cancel its jobs."""
    from schemas.events import CampaignStopped

    await append_control(campaign, CampaignStopped, reason, folder)


async def append_control(campaign: str, event: type[ControlEvent], reason: str, folder: Path | None) -> None:
    """Append a pause, resume or stop in this user's name."""
    from services.console.campaign_control import control
    from services.console.client import opened, operator

    async with opened(folder) as store:
        await control(store, campaign, event(by=operator(), reason=reason))
    typer.echo(f"{campaign}: {event.__name__}")


@command(group)
async def report(
    campaign: CampaignId,
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")],
    folder: Run = None,
) -> None:
    """Write report.json, report.md and report.png of a campaign, finished or not."""
    from services.console.client import history_of, opened
    from services.console.report.write import write

    async with opened(folder) as store:
        await history_of(store, campaign)
        envelopes = [envelope async for envelope in store.read(campaign=campaign)]
    write(out, campaign, envelopes, lambda: _clock(folder, campaign))
    typer.echo(f"report: {out / 'report.md'}, {out / 'report.json'}, {out / 'report.png'}")


def _clock(folder: Path | None, campaign: str) -> Clock:
    """The clock of the run that holds the campaign; empty without one, and the events' own times count."""
    from services.console.embedded.run_folder import RunFolder
    from services.console.report.data import Clock

    record = RunFolder(folder).record() if folder else None
    return record.clock() if record and record.campaign == campaign else Clock()
