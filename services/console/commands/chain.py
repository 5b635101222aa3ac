"""Prove and move a log: verify its hash chain, export it, import it, and make the keys that sign its heads."""
# ruff: noqa: PLC0415 - `aevolve --help` imports this module

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.console.commands.options import Run, command
from services.runtime.user_error import UserError, without_password

if TYPE_CHECKING:
    from eventstore.integrity.anchors import Attested
    from eventstore.integrity.chain import Head
    from services.console.anchors import AnchorSources
    from services.runtime.settings import Settings

AnchorFile = Annotated[Path | None, typer.Option("--anchor", help="File of anchors to compare with.")]
AnchorTopic = Annotated[bool, typer.Option("--anchors-from-kafka", help="Compare with the anchors on Kafka.")]
PublicKeys = Annotated[
    list[str] | None, typer.Option("--public-key", help="Of the anchors: hexadecimal, or a file. May be repeated.")
]

group = typer.Typer()
anchors = typer.Typer(help="Make the keys that sign the log's heads.", no_args_is_help=True)


@command(group)
async def verify(
    folder: Run = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="LOG.jsonl", help="Verify an exported log.")] = None,
    anchor: AnchorFile = None,
    anchors_from_kafka: AnchorTopic = False,
    public_key: PublicKeys = None,
    sign: Annotated[
        Path | None, typer.Option(help="Private key: sign the verified head and append it to the file of --anchor.")
    ] = None,
) -> int:
    """Recompute the log's hash chain; exit status 1 names the first event that was changed.

    Anchors are signed heads: they also detect that the whole log was rewritten or cut off. Without --anchor and
    --anchors-from-kafka the run's own anchors are compared.
    """
    from services.console.anchors import AnchorSources

    sources = AnchorSources(anchor, anchors_from_kafka, tuple(public_key or ()), sign)
    return await verify_chain(folder, file, sources)


async def verify_chain(folder: Path | None, file: Path | None, sources: AnchorSources) -> int:
    """Exit status: 0 if the chain holds and agrees with the anchors, to which the head may then be added, else 1."""
    from datetime import UTC, datetime

    from eventstore.integrity.anchors import append_anchor
    from eventstore.integrity.chain import Chain, ChainBroken
    from services.console.anchors import read_attested
    from services.console.client import opened, read_settings, settings_from_environment
    from services.console.log_file import read_rows

    if folder and file:
        raise UserError(f"--file: {file}; a run is named as well: give one of --run and --file")
    settings = settings_from_environment() if file else read_settings(folder)
    sources = sources if file else _with_own_anchors(sources, settings)
    signer, attested = sources.signer(), await read_attested(sources, settings)
    try:
        if file:
            chain = Chain(attested.heads)
            for row in read_rows(file):
                chain.add(row)
            head = chain.end()
        else:
            async with opened(folder) as store:
                head = await store.verify(attested.heads)
    except ChainBroken as broken:
        typer.echo(f"broken at {broken}")
        return _print_refused(attested) or 1
    typer.echo(_describe(head))
    _print_compared(attested)
    if status := _print_refused(attested):
        return status
    if signer and sources.file:
        try:
            append_anchor(sources.file, signer.sign(head, datetime.now(UTC)))
        except OSError as error:
            raise UserError(
                f"--anchor: {sources.file}; it cannot be written ({error.strerror}): name another file"
            ) from error
    return 0


def _with_own_anchors(sources: AnchorSources, settings: Settings) -> AnchorSources:
    """If no anchors are named, those that the log's own settings name."""
    own = settings.anchor_file
    if sources.file or sources.kafka or own is None:
        return sources
    if not own.exists() or not own.stat().st_size:
        typer.echo(f"no anchors yet in {own}", err=True)
        return sources
    return replace(sources, file=own)


def _print_refused(attested: Attested) -> int:
    """Print the anchors that were refused; exit status."""
    for reason in attested.refused:
        typer.echo(f"not an anchor of this log: {reason}")
    return 1 if attested.refused else 0


def _print_compared(attested: Attested) -> None:
    if attested.heads:
        typer.echo(f"anchors that agree: {len(attested.heads)}, the last at position {max(attested.heads)}")
    for key, number in attested.foreign.items():
        typer.echo(f"anchors of key {key}: {number}, not compared; give its --public-key to compare them")


def _describe(head: Head) -> str:
    return f"{head.position} events, head {head.hash.hex()}"


@command(group)
async def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines; - for standard output.")],
    folder: Run = None,
) -> None:
    """Write the whole log as recorded, one event per line with its hash; a broken log too, since it is evidence."""
    from services.console.client import opened
    from services.console.log_file import atomic_output

    async with opened(folder) as store:
        with atomic_output(file) as output:
            async for row in store.rows():
                output.write(f"{row.to_json()}\n")


@command(group, "import")
async def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Output of `aevolve export`.")],
    dsn: Annotated[str, typer.Option(help="Address of a migrated database with an empty log, as its owner.")],
    anchor: AnchorFile = None,
    anchors_from_kafka: AnchorTopic = False,
    public_key: PublicKeys = None,
) -> None:
    """Import an exported log into an empty one: all of it, or nothing if its chain or an anchor shows that it broke."""
    from services.console.anchors import AnchorSources

    await import_file(file, dsn, AnchorSources(anchor, anchors_from_kafka, tuple(public_key or ())))


async def import_file(file: Path, dsn: str, sources: AnchorSources) -> None:
    """Import an exported log that agrees with the anchors. Raises `UserError`, and then nothing was imported."""
    import asyncpg

    from eventstore.connect import tls_fault
    from eventstore.errors import DISCONNECTED
    from eventstore.integrity.chain import ChainBroken
    from eventstore.integrity.log_import import LogNotEmpty, import_log
    from services.console.anchors import read_attested
    from services.console.client import settings_from_environment
    from services.console.log_file import read_rows

    attested = await read_attested(sources, settings_from_environment())
    if attested.refused:
        raise UserError(f"{attested.refused[0]}; nothing was imported: verify the log with `aevolve verify`")
    try:
        head = await import_log(dsn, read_rows(file), attested.heads)
    except (ChainBroken, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as broken:
        reason = " ".join(str(broken).split())  # the database's message has several lines
        raise UserError(f"{file}: {reason}; nothing was imported: export the log again") from broken
    except LogNotEmpty as refused:
        raise UserError(f"--dsn: {without_password(dsn)}; {refused}") from refused
    except (*DISCONNECTED, asyncpg.PostgresError, ValueError) as error:
        reason = tls_fault(dsn, error) or (
            f"{error or type(error).__name__}: start the database, give the address "
            "and password of its owner, and prepare it with `aevolve migrate`"
        )
        raise UserError(f"--dsn: {without_password(dsn)}; {reason}") from error
    typer.echo(_describe(head))
    _print_compared(attested)


@anchors.command("keygen")
def make_anchor_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="New file of the private key.")],
) -> None:
    """Make a private key, readable by this user alone, that signs a log's heads, and print its public key."""
    from eventstore.integrity.anchors import make_key

    try:
        signer = make_key(file)
    except OSError as error:
        raise UserError(f"FILE: {file}; it cannot be made ({error.strerror}): name a new file") from error
    typer.echo(signer.public.hex())


@anchors.command("public-key")
def show_public_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of a private key.")],
) -> None:
    """Print the public key of a private one; an auditor needs only this."""
    from services.console.anchors import private_key

    typer.echo(private_key("FILE", file).public.hex())
