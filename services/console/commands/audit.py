"""Ask a campaign's log whether its decisions hold: audit of one, replay of all, the exposure ledger."""
# ruff: noqa: PLC0415 - `aevolve --help` imports this module

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.console.commands.options import AsJson, LogFile, OneCampaign, Run, command
from services.runtime.user_error import UserError, printable

if TYPE_CHECKING:
    from audit.projections import Projections

group = typer.Typer()


@command(group)
async def audit(
    decision: Annotated[str, typer.Argument(help="`latest` (policy), `policy:N`, or the id of a decision.")] = "latest",
    file: LogFile = None,
    folder: Run = None,
    campaign: OneCampaign = None,
    as_json: AsJson = False,
) -> int:
    """Show a decision's causes and evidence, recompute it, and say whether the result is identical."""
    from audit import decision as decisions
    from audit.replay import unreadable
    from services.console.log_source import campaign_events

    envelopes = await campaign_events(file, folder, campaign)
    audited = decisions.audit(envelopes, decisions.find(envelopes, decision))
    forged = unreadable(envelopes)
    if as_json:
        _print(decisions.data(audited) | {"unreadable": forged})
    else:
        typer.echo("\n".join([*decisions.text(audited), *map(printable, forged)]))
    return 0 if audited.again.identical and not forged else 1


@command(group)
async def replay(
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a rule, for example drift.threshold=1000."),
    ] = None,
    file: LogFile = None,
    folder: Run = None,
    campaign: OneCampaign = None,
    as_json: AsJson = False,
) -> int:
    """Recompute every decision of a campaign and rebuild the tables derived from the log; exit status 1 if any differs.

    With --set, show the first decision that would differ under the changed rules.
    """
    from audit import projections as projected
    from audit import replay as replays
    from services.console.log_source import campaign_events

    rules = dict(map(_change, changes or ()))
    envelopes = await campaign_events(file, folder, campaign)
    if rules:
        comparison = replays.under(envelopes, rules)
        data = {"changes": rules, **replays.counterfactual_data(comparison)}
        _print(data) if as_json else typer.echo("\n".join(replays.counterfactual_text(comparison, rules)))
        return 0
    again, projections = list(replays.replay(envelopes)), await _projections(file, folder)
    forged = replays.unreadable(envelopes)
    if as_json:
        tables = projected.data(projections) if projections else None
        repeated = [replays.decision_data(one) for one in again]
        _print({"decisions": repeated, "unreadable": forged, "projections": tables})
    else:
        same = sum(one.identical for one in again)
        lines = [replays.decision_line(one) for one in again]
        lines.append(f"{same} of {len(again)} decisions of {envelopes[0].correlationid} are identical when recomputed")
        typer.echo("\n".join([*lines, *map(printable, forged), *(projected.text(projections) if projections else ())]))
    same_tables = not (projections and projections.deviations)
    return 0 if all(one.identical for one in again) and not forged and same_tables else 1


def _change(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise UserError(f"--set: {text!r} is not KEY=VALUE; for example drift.threshold=1000")
    return key, value


async def _projections(file: Path | None, folder: Path | None) -> Projections | None:
    """The projections of the live log; None if the log is a file."""
    import contextlib

    from audit import projections
    from services.console.client import Unreachable, connected, read_settings

    if file is None:
        with contextlib.suppress(Unreachable):
            async with connected(read_settings(folder)) as store:
                return await projections.check(store)
    return None


@command(group)
async def exposure(
    campaign: Annotated[str | None, typer.Argument(help="Campaign id.", show_default="the last one")] = None,
    file: LogFile = None,
    as_json: AsJson = False,
    folder: Run = None,
) -> None:
    """Print every query of a hidden set: candidate, time, queries left, result."""
    from pydantic import TypeAdapter

    from audit.exposure import Exposure, exposures, text
    from services.console.log_source import campaign_events

    envelopes = await campaign_events(file, folder, campaign)
    ledger = exposures(envelopes)
    if as_json:
        typer.echo(TypeAdapter(list[Exposure]).dump_json(ledger, indent=1).decode())
    else:
        typer.echo("\n".join(text(envelopes[0].correlationid, ledger)))


def _print(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))
