"""The commands that ask a campaign's log whether its decisions hold: audit of one, replay of all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from audit import decision as audits
from audit import projections
from audit.projections import Projections
from audit.recompute import Recomputed
from audit.replay import Counterfactual, replay, substantial, under
from schemas.envelope import Envelope
from services.console.client import Unreachable, connected, read_settings
from services.console.log_source import told
from services.runtime.user_error import UserError


async def audit(decision: str, file: Path | None, run: Path | None, campaign: str | None, *, as_json: bool) -> int:
    """Print the audit of one decision; 1 where taking it again gives another."""
    envelopes = await told(file, run, campaign)
    audited = audits.audit(envelopes, audits.find(envelopes, decision))
    _print(audits.data(audited)) if as_json else typer.echo("\n".join(audits.text(audited)))
    return 0 if audited.again.identical else 1


async def replay_all(
    settings: Sequence[str], file: Path | None, run: Path | None, campaign: str | None, *, as_json: bool
) -> int:
    """Print every decision taken again, or where other rules part; 1 where a decision does not hold."""
    changes = dict(map(_setting, settings))
    envelopes = await told(file, run, campaign)
    if changes:
        return _compare(envelopes, changes, as_json)
    return _repeat(envelopes, await _projections(file, run), as_json)


async def _projections(file: Path | None, run: Path | None) -> Projections | None:
    """The projections beside the log that is alive; None where the log is a file."""
    if file is None:
        with contextlib.suppress(Unreachable):
            async with connected(read_settings(run)) as store:
                return await projections.check(store)
    return None


def _repeat(envelopes: Sequence[Envelope], beside: Projections | None, as_json: bool) -> int:
    again = list(replay(envelopes))
    if as_json:
        told = [_data(one) for one in again]
        _print({"decisions": told, "projections": projections.data(beside) if beside else None})
    else:
        same = sum(one.identical for one in again)
        said = [_line(one) for one in again]
        said.append(f"{same} of {len(again)} decisions of {envelopes[0].correlationid} are identical when taken again")
        typer.echo("\n".join([*said, *(projections.text(beside) if beside else ())]))
    return 0 if all(one.identical for one in again) and not (beside and beside.deviations) else 1


def _compare(envelopes: Sequence[Envelope], changes: Mapping[str, str], as_json: bool) -> int:
    found = under(envelopes, changes)
    if as_json:
        parting = _data(found.parting) if found.parting else None
        proposals = [asdict(proposal) for proposal in found.proposals]
        submissions = _data(found.submissions) if found.submissions else None
        told = {"findings": found.findings, "parting": parting, "proposals": proposals, "submissions": submissions}
        _print({"changes": changes, **told})
    else:
        typer.echo("\n".join(_comparison(found, changes)))
    return 0


def _comparison(found: Counterfactual, changes: Mapping[str, str]) -> list[str]:
    said = [f"With {', '.join(f'{key}={value}' for key, value in changes.items())}"]
    said += [f"  round {round_}: {words}" for round_, words in found.findings]
    if found.parting:
        said.append(f"  the first decision to differ: {_name(found.parting.envelope)}")
        said += _parting(found.parting)
    elif not found.proposals:
        return [*said, "  no policy, no recipe and no query would differ"]
    return [*said, *_acts(found)]


def _acts(found: Counterfactual) -> Iterator[str]:
    """The first thing that would have been done otherwise."""
    if found.proposals:
        yield "  what would have been proposed"
        yield from (f"    {p.candidate}: recorded {p.recorded}, then {p.then}" for p in found.proposals)
    elif found.submissions is None:
        yield "  nothing else would have been trained, and nobody else asked about"
    elif found.submissions is not found.parting:
        yield f"  the first queries to differ: {_name(found.submissions.envelope)}"
        yield from _parting(found.submissions)


def _parting(parting: Recomputed) -> list[str]:
    differing = substantial(parting)
    said = [
        f"    {d.path}: recorded {audits.short(d.recorded)}, then {audits.short(d.recomputed)}"
        for d in differing[: audits.SHOWN]
    ]
    more = len(differing) - len(said)
    return [*said, f"    and {more} values more; --json has them all"] if more else said


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise UserError(f"--set: {text!r} is no KEY=VALUE; write it as drift.threshold=1000")
    return key, value


def _name(envelope: Envelope) -> str:
    return f"{envelope.type} at position {envelope.sequence} ({envelope.subject})"


def _line(again: Recomputed) -> str:
    by, name = again.ruling, _name(again.envelope)
    if not by.known:
        return f"UNKNOWN    {name}: taken by rules {by.rules} of {by.decider}; {by.remedy}"
    line = f"{'identical' if again.identical else 'DIFFERENT'}  {name}"
    if by.rules == by.today:
        return line
    return f"{line}, by rules {by.rules} of {by.decider}; today's are {by.today}: {audits.difference_today(again)}"


def _data(again: Recomputed) -> dict[str, Any]:
    return {
        "id": str(again.envelope.id),
        "type": again.envelope.type,
        "position": again.envelope.sequence,
        **audits.repetition(again),
    }


def _print(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))
