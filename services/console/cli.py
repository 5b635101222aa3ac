"""The command `aevolve`: one line per group of commands, and the exit statuses.

Exit status: 0 success, 1 a check failed, 2 wrong input or a missing part (one message on stderr), 128 + n signal n.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from schemas.unreadable import UnreadableEvent
from services.console.commands import (
    audit,
    campaign,
    chain,
    data,
    dead_letters,
    doctor,
    first,
    measurement,
    migrate,
    model,
    page,
    plan,
    run,
)
from services.runtime.user_error import UserError, printable


class Commands(TyperGroup):
    """Turns a `UserError` or an `UnreadableEvent` of any command into its message and exit status 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (UserError, UnreadableEvent) as error:
            typer.echo(f"aevolve: {printable(str(error))}", err=True)
            raise typer.Exit(2) from None


def print_version(requested: bool) -> None:
    """Print the installed version and end."""
    if requested:
        from importlib.metadata import version  # noqa: PLC0415 - not for `--help`

        typer.echo(f"aevolve {version('aevolve')}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    name="aevolve",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Post-trains language models, detects when the dev metric misleads, and adapts its search."""


app.add_typer(run.group)
app.add_typer(first.group)
app.add_typer(campaign.group)
app.add_typer(plan.group)
app.add_typer(measurement.group)
app.add_typer(audit.group)
app.add_typer(chain.group)
app.add_typer(page.group)
app.add_typer(migrate.group)
app.add_typer(doctor.group)
app.add_typer(chain.anchors, name="anchors")
app.add_typer(data.group, name="data")
app.add_typer(model.group, name="model")
app.add_typer(dead_letters.group, name="dead-letters")


def main() -> None:
    """The entry point."""
    app()
