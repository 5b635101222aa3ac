"""A campaign's events, from wherever they can be read: a live log, or the copy that a finished run has left."""

from __future__ import annotations

import os
from pathlib import Path

import typer
from pydantic import ValidationError

from eventstore.chain import Row
from eventstore.read import to_envelope
from schemas.envelope import Envelope
from services.console.client import DEFAULT_RUN, connected, read_settings
from services.console.problem import Problem, nearest

COPY = "log.jsonl"
"""What `aevolve demo` and `aevolve report` write beside the report."""


async def told(file: Path | None, run: Path | None, campaign: str | None) -> list[Envelope]:
    """One campaign's events in log order: of the file, else of the log that is alive, else of the run's copy.

    Without a campaign id it is the one that was started last. Raises `Problem` where there is none.
    """
    return of_campaign(from_file(file) if file else await _from_log(run), campaign)


def from_file(file: Path) -> list[Envelope]:
    """The events of a `log.jsonl` or of an exported log. Raises `Problem` naming the line that is none."""
    try:
        lines = file.read_text().splitlines()
    except OSError as error:
        raise Problem(f"--file: {file} cannot be read ({error.strerror}); name a log.jsonl") from error
    return [_parsed(file, number, line) for number, line in enumerate(lines, start=1)]


def of_campaign(envelopes: list[Envelope], campaign: str | None) -> list[Envelope]:
    """The events of one campaign, by default of the one that was started last."""
    known = list(dict.fromkeys(envelope.correlationid for envelope in envelopes))
    if not known:
        raise Problem("the log holds no event; start a campaign with `aevolve start` or `aevolve demo`")
    if campaign is not None and campaign not in known:
        raise Problem(f"--campaign: {campaign!r} is not in the log; {nearest(campaign, known)}")
    return [envelope for envelope in envelopes if envelope.correlationid == (campaign or known[-1])]


async def _from_log(run: Path | None) -> list[Envelope]:
    copy = (run or DEFAULT_RUN) / COPY
    named = run is None and "AEVOLVE_POSTGRES" in os.environ
    try:
        async with connected(read_settings(run)) as store:
            return [envelope async for envelope in store.read()]
    except Problem:
        if named or not copy.exists():  # who names a database is not answered from another place
            raise
    typer.echo(f"no log is alive; reading {copy}", err=True)
    return from_file(copy)


def _parsed(file: Path, number: int, line: str) -> Envelope:
    try:
        if '"hash":' in line and '"correlationid":' not in line:  # a row as `aevolve export` writes it
            return to_envelope(Row.model_validate_json(line).model_dump())
        return Envelope.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "line"
        raise Problem(f"--file: {file}, line {number}: {where}: {problem['msg']}; give the log as written") from error
