"""The commands that prove a log and carry it: verify its chain, export it as recorded, import it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import typer

from eventstore.connect import tls_fault
from eventstore.errors import DISCONNECTED
from eventstore.integrity.anchors import Anchor, Attested, append_anchor
from eventstore.integrity.chain import Chain, ChainBroken, Head
from eventstore.integrity.log_import import LogNotEmpty, import_log
from services.console.client import connected, from_environment, read_settings
from services.console.commands.anchors import Witnesses, hear
from services.console.log_file import read_rows, written
from services.runtime.settings import Settings
from services.runtime.user_error import UserError, without_password


async def verify(folder: Path | None, file: Path | None, told: Witnesses) -> int:
    """Exit status: 0 where the chain holds and agrees with the anchors, to which the head may then be added, else 1."""
    if folder and file:
        raise UserError(f"--file: {file}; a run is named as well: give one of --run and --file")
    settings = from_environment() if file else read_settings(folder)
    told = told if file else _with_its_own(told, settings)
    signer, attested = told.signer(), await hear(told, settings)
    try:
        head = _verify_file(file, attested.heads) if file else await _verify_log(settings, attested.heads)
    except ChainBroken as broken:
        typer.echo(f"broken at {broken}")
        return _refused(attested) or 1
    typer.echo(_words(head))
    _tell(attested)
    if status := _refused(attested):
        return status
    if signer and told.file:
        _keep(told.file, signer.sign(head, datetime.now(UTC)))
    return 0


def _with_its_own(told: Witnesses, settings: Settings) -> Witnesses:
    """Where no anchors are named, those that the log's own settings name."""
    own = settings.anchor_file
    if told.file or told.kafka or own is None:
        return told
    if not own.exists() or not own.stat().st_size:
        typer.echo(f"no anchors yet in {own}", err=True)
        return told
    return replace(told, file=own)


def _refused(attested: Attested) -> int:
    """Say which anchors are none; exit status."""
    for words in attested.refused:
        typer.echo(f"not an anchor of this log: {words}")
    return 1 if attested.refused else 0


def _tell(attested: Attested) -> None:
    if attested.heads:
        typer.echo(f"anchors that agree: {len(attested.heads)}, the last at position {max(attested.heads)}")
    for key, number in attested.foreign.items():
        typer.echo(f"anchors of key {key}: {number}, not compared; give its --public-key to compare them")


def _keep(file: Path, anchor: Anchor) -> None:
    try:
        append_anchor(file, anchor)
    except OSError as error:
        raise UserError(f"--anchor: {file}; it cannot be written ({error.strerror}): name another file") from error


def _verify_file(file: Path, anchors: Mapping[int, bytes]) -> Head:
    chain = Chain(anchors)
    for row in read_rows(file):
        chain.add(row)
    return chain.end()


async def _verify_log(settings: Settings, anchors: Mapping[int, bytes]) -> Head:
    async with connected(settings) as store:
        return await store.verify(anchors)


async def export(file: Path, folder: Path | None) -> None:
    """Write every event as recorded, whether the chain holds or not: a broken log is evidence too."""
    async with connected(read_settings(folder)) as store:
        with written(file) as output:
            async for row in store.rows():
                output.write(f"{row.to_json()}\n")


async def import_(file: Path, dsn: str, told: Witnesses) -> None:
    """Bring an exported log that agrees with the anchors into an empty database, all of it or nothing."""
    attested = await hear(told, from_environment())
    if attested.refused:
        raise UserError(f"{attested.refused[0]}; nothing was imported: verify the log with `aevolve verify`")
    try:
        head = await import_log(dsn, read_rows(file), attested.heads)
    except (ChainBroken, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as broken:
        words = " ".join(str(broken).split())  # the database says it in several lines
        raise UserError(f"{file}: {words}; nothing was imported: export the log again") from broken
    except LogNotEmpty as refused:
        raise UserError(f"--dsn: {without_password(dsn)}; {refused}") from refused
    except (*DISCONNECTED, asyncpg.PostgresError, ValueError) as error:
        words = tls_fault(dsn, error) or (
            f"{error or type(error).__name__}: start the database, give the address "
            "and password of its owner, and prepare it with `aevolve migrate`"
        )
        raise UserError(f"--dsn: {without_password(dsn)}; {words}") from error
    typer.echo(_words(head))
    _tell(attested)


def _words(head: Head) -> str:
    return f"{head.position} events, head {head.hash.hex()}"
