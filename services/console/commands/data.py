"""Look into training data."""
# ruff: noqa: PLC0415 - `aevolve --help` imports this module

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands.options import LogFile, Run, command

group = typer.Typer(help="Look into training data.", no_args_is_help=True)


@group.callback()
def keep_name() -> None:
    """Look into training data."""


@command(group)
async def inspect(
    snapshot: Annotated[str, typer.Argument(metavar="SNAPSHOT", help="Its id, or the beginning of it.")],
    samples: Annotated[
        int,
        typer.Option(
            min=0, max=100, help="Rows of each domain, and examples of each reason for drops, there 5 or more."
        ),
    ] = 2,
    file: LogFile = None,
    folder: Run = None,
) -> None:
    """Show a snapshot: the yield of each source, some rows, and what was dropped and why."""
    from services.console.embedded.run_folder import RunFolder
    from services.console.log_source import events_of_type
    from services.console.paths import DEFAULT_RUN
    from services.console.snapshot import find, text

    envelope = find(await events_of_type("DataBatchReady", file, folder), snapshot)
    roots = [folder] if folder else [file.parent] if file else [DEFAULT_RUN]
    for line in text(envelope, samples, [str(RunFolder(root).state / "artifacts") for root in roots]):
        typer.echo(line)
