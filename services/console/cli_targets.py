"""The options of the commands about what campaigns were measured on."""
# ruff: noqa: PLC0415 - as in `services.console.cli`

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

targets = typer.Typer()


@targets.command()
def exposure(
    campaign: Annotated[str | None, typer.Argument(help="Campaign id; the last one where left out.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A log.jsonl, in place of a live log.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--run", help="Folder of an embedded run (`up`, `demo`) to talk to.")
    ] = None,
) -> None:
    """Print every query of a hidden set: about whom, when, how many are left, and what came of it."""
    from services.console import exposure_command
    from services.console.cli import run

    run(exposure_command.exposure(campaign, file, folder, as_json=as_json))
