"""The commands that prove a log and carry it: verify its chain, export it as recorded, import it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import asyncpg
import typer

from eventstore.chain import Chain, ChainBroken, Head
from eventstore.errors import DISCONNECTED
from eventstore.transfer import LogNotEmpty, import_log
from services.console.client import connected, read_settings
from services.console.log_file import keep_anchor, read_anchors, read_rows, written
from services.console.problem import Problem, without_password


async def verify(folder: Path | None, file: Path | None, anchor: Path | None) -> int:
    """Exit status: 0 where the chain holds and agrees with the anchors, to which the head is then added, else 1."""
    if folder and file:
        raise Problem(f"--file: {file}; a run is named as well: give one of --run and --file")
    anchors = read_anchors(anchor) if anchor else {}
    try:
        head = _verify_file(file, anchors) if file else await _verify_log(folder, anchors)
    except ChainBroken as broken:
        typer.echo(f"broken at {broken}")
        return 1
    if anchor:
        keep_anchor(anchor, head)
    typer.echo(_words(head))
    return 0


def _verify_file(file: Path, anchors: Mapping[int, bytes]) -> Head:
    chain = Chain(anchors)
    for row in read_rows(file):
        chain.add(row)
    return chain.end()


async def _verify_log(folder: Path | None, anchors: Mapping[int, bytes]) -> Head:
    async with connected(read_settings(folder)) as store:
        return await store.verify(anchors)


async def export(file: Path, folder: Path | None) -> None:
    """Write every event as recorded, whether the chain holds or not: a broken log is evidence too."""
    async with connected(read_settings(folder)) as store:
        with written(file) as output:
            async for row in store.rows():
                output.write(f"{row.to_json()}\n")


async def import_(file: Path, dsn: str) -> None:
    """Bring an exported log into an empty database, all of it or nothing."""
    try:
        head = await import_log(dsn, read_rows(file))
    except (ChainBroken, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as broken:
        words = " ".join(str(broken).split())  # the database says it in several lines
        raise Problem(f"{file}: {words}; nothing was imported: export the log again") from broken
    except LogNotEmpty as refused:
        raise Problem(f"--dsn: {without_password(dsn)}; {refused}") from refused
    except (*DISCONNECTED, asyncpg.PostgresError, ValueError) as error:
        raise Problem(
            f"--dsn: {without_password(dsn)}; {error or type(error).__name__}: start the database, give the address "
            "and password of its owner, and prepare it with `aevolve migrate`"
        ) from error
    typer.echo(_words(head))


def _words(head: Head) -> str:
    return f"{head.position} events, head {head.hash.hex()}"
