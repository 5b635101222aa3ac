"""The command that prints the exposure ledger."""

from __future__ import annotations

from pathlib import Path

import typer
from pydantic import TypeAdapter

from audit.exposure import Exposure, exposures, text
from services.console.log_source import told


async def exposure(campaign: str | None, file: Path | None, run: Path | None, *, as_json: bool) -> None:
    """Print the ledger of a campaign."""
    envelopes = await told(file, run, campaign)
    ledger = exposures(envelopes)
    if as_json:
        typer.echo(TypeAdapter(list[Exposure]).dump_json(ledger, indent=1).decode())
    else:
        typer.echo("\n".join(text(envelopes[0].correlationid, ledger)))
