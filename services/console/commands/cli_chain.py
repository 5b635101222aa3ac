"""The options of the commands that prove the log and carry it, and of `aevolve anchors`."""
# ruff: noqa: PLC0415 - as in `services.console.cli`

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[Path | None, typer.Option("--run", help="Folder of an embedded run (`up`, `demo`) to talk to.")]
AnchorFile = Annotated[Path | None, typer.Option("--anchor", help="File of anchors to compare with.")]
AnchorTopic = Annotated[bool, typer.Option("--anchors-from-kafka", help="Compare with the anchors on Kafka.")]
PublicKeys = Annotated[
    list[str] | None, typer.Option("--public-key", help="Of the anchors: hexadecimal, or a file. May be repeated.")
]

chain = typer.Typer()
anchors = typer.Typer(help="Look after the keys that sign the log's heads.", no_args_is_help=True)


@chain.command()
def verify(
    folder: Run = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="LOG.jsonl", help="An exported log instead.")] = None,
    anchor: AnchorFile = None,
    anchors_from_kafka: AnchorTopic = False,
    public_key: PublicKeys = None,
    sign: Annotated[
        Path | None, typer.Option(help="Private key: sign the head that was found right, and add it to --anchor.")
    ] = None,
) -> None:
    """Compute the log's hash chain again; exit status 1 names the first event that is not as it was written.

    Anchors are signed heads: they also show that the whole log was written anew, or cut off. A run's own are compared
    where none are named.
    """
    from services.console.cli import run
    from services.console.commands import chain_commands
    from services.console.commands.anchors import Witnesses

    told = Witnesses(anchor, anchors_from_kafka, tuple(public_key or ()), sign)
    raise typer.Exit(run(chain_commands.verify(folder, file, told)))


@chain.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines; - for standard output.")],
    folder: Run = None,
) -> None:
    """Write the whole log as recorded, one event per line with its hash."""
    from services.console.cli import run
    from services.console.commands import chain_commands

    run(chain_commands.export(file, folder))


@chain.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `aevolve export` wrote.")],
    dsn: Annotated[str, typer.Option(help="Address of a migrated database with an empty log, as its owner.")],
    anchor: AnchorFile = None,
    anchors_from_kafka: AnchorTopic = False,
    public_key: PublicKeys = None,
) -> None:
    """Bring an exported log into an empty one: all of it, or nothing where its chain or an anchor shows it broken."""
    from services.console.cli import run
    from services.console.commands import chain_commands
    from services.console.commands.anchors import Witnesses

    run(chain_commands.import_(file, dsn, Witnesses(anchor, anchors_from_kafka, tuple(public_key or ()))))


@anchors.command("keygen")
def make_anchor_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="New file of the private key.")],
) -> None:
    """Make the private key that signs a log's heads, and print its public key."""
    from services.console.commands import anchor_commands

    anchor_commands.keygen(file)


@anchors.command("public-key")
def show_public_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of a private key.")],
) -> None:
    """Print the public key of a private one: an auditor needs it, and nothing else."""
    from services.console.commands import anchor_commands

    anchor_commands.public(file)
