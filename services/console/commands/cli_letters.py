"""The options of `aevolve dead-letters`."""
# ruff: noqa: PLC0415 - as in `services.console.cli`

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[Path | None, typer.Option("--run", help="Folder of an embedded run (`up`, `demo`) to talk to.")]
Position = Annotated[str, typer.Argument(metavar="POSITION", help="As `aevolve dead-letters list` prints it.")]

letters = typer.Typer(help="Look at what no service could handle, and give it to them again.", no_args_is_help=True)


@letters.command("list")
def list_letters(folder: Run = None) -> None:
    """Print position, time, topic, type, id, service and error of each, the oldest first."""
    from services.console.cli import run
    from services.console.commands import letter_commands

    run(letter_commands.list_(folder))


@letters.command("show")
def show_letter(position: Position, folder: Run = None) -> None:
    """Print the headers and the payload of one."""
    from services.console.cli import run
    from services.console.commands import letter_commands

    run(letter_commands.show(position, folder))


@letters.command("retry")
def retry_letter(position: Position, folder: Run = None) -> None:
    """Give the event of one to the services again, as the log holds it; refused where the log does not."""
    from services.console.cli import run
    from services.console.commands import letter_commands

    run(letter_commands.retry(position, folder))
