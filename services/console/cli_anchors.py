"""`aevolve anchors`, and what other commands are told about anchors."""
# ruff: noqa: PLC0415 - as in `services.console.cli`

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AnchorFile = Annotated[Path | None, typer.Option("--anchor", help="File of anchors to compare with.")]
AnchorTopic = Annotated[bool, typer.Option("--anchors-from-kafka", help="Compare with the anchors on Kafka.")]
PublicKeys = Annotated[
    list[str] | None, typer.Option("--public-key", help="Of the anchors: hexadecimal, or a file. May be repeated.")
]

anchors = typer.Typer(help="Look after the keys that sign the log's heads.", no_args_is_help=True)


@anchors.command("keygen")
def make_anchor_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="New file of the private key.")],
) -> None:
    """Make the private key that signs a log's heads, and print its public key."""
    from services.console import anchor_commands

    anchor_commands.keygen(file)


@anchors.command("public-key")
def show_public_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of a private key.")],
) -> None:
    """Print the public key of a private one: an auditor needs it, and nothing else."""
    from services.console import anchor_commands

    anchor_commands.public(file)
