"""Look at the messages that no service could handle, and publish their events again."""
# ruff: noqa: PLC0415 - `aevolve --help` imports this module

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands.options import Run, command

Position = Annotated[str, typer.Argument(metavar="POSITION", help="As `aevolve dead-letters list` prints it.")]

group = typer.Typer(help="Look at messages that no service could handle, and publish them again.", no_args_is_help=True)


@command(group, "list")
async def list_letters(folder: Run = None) -> None:
    """Print position, time, topic, type, id, service and error of each, the oldest first."""
    from services.console.client import read_settings
    from services.console.dead_letters import letters

    dead_letters = await letters(read_settings(folder))
    for letter in dead_letters:
        typer.echo(letter.line())
    if not dead_letters:
        typer.echo("no dead letters", err=True)


@command(group, "show")
async def show(position: Position, folder: Run = None) -> None:
    """Print one: its headers, an empty line, its payload."""
    from services.console.client import read_settings
    from services.console.dead_letters import find

    letter = await find(position, read_settings(folder))
    for name, value in sorted(letter.headers.items()):
        typer.echo(f"{name}: {value}")
    typer.echo(f"\n{letter.body}")


@command(group, "retry")
async def retry(position: Position, folder: Run = None) -> None:
    """Publish the event of one again, as the log holds it; services that handled it already skip it."""
    from schemas.envelope import topic
    from services.console.client import connected, read_settings
    from services.console.dead_letters import find, send_again

    settings = read_settings(folder)
    letter = await find(position, settings)
    async with connected(settings) as store:
        event = await send_again(letter, store, settings)
    typer.echo(f"{event.type} {event.id} is on {topic(event.type)} again")
