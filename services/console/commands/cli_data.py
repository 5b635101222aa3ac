"""The options of `aevolve data`, which looks into what was trained on."""
# ruff: noqa: PLC0415 - as in `services.console.cli`

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

data = typer.Typer(help="Look into training data.", no_args_is_help=True)


@data.callback()
def group() -> None:
    """Look into training data."""


@data.command()
def inspect(
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT", help="Its id, or the beginning of it.")],
    samples: Annotated[int, typer.Option(min=0, max=100, help="Rows of each domain, and drops of each reason.")] = 2,
    file: Annotated[Path | None, typer.Option("--file", help="A log.jsonl, in place of a live log.")] = None,
    folder: Annotated[Path | None, typer.Option("--run", help="Folder of an embedded run, alive or not.")] = None,
) -> None:
    """Show a snapshot: what each source gave, some of its rows, and what was dropped and why."""
    from services.console.cli import run
    from services.console.commands import data_command

    run(data_command.inspect(snapshot, samples, file, folder))
