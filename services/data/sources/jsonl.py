"""JSON lines: a row for each line, from where the last reading ended."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from schemas.rows import Row
from schemas.sources import FilesSource
from services.data.sources.batch import Batch
from services.data.sources.lines import BROKEN, PIECE, Lines, key, mark_of
from services.data.sources.refusal import Refused
from services.data.sources.rows import Found, from_record, now, sha256
from services.data.sources.source import Step

PIECES_PER_STEP = 64
"""Pieces of a line that are passed over between two steps, so that a crash does not begin a long line again."""

BOMB = 400
"""A line of a packed file that unpacks to so many times the allowed length is no text: the rest of the file is left."""


def harvest(spec: FilesSource, path: Path, known: Mapping[str, Any]) -> Iterator[Step]:
    """Steps that remember the file's mark under its path.

    Raises `Refused` for a packed file that unpacks without end, and one of `BROKEN` where it cannot be read on.
    """
    with Lines(path) as lines:
        if "offset" in known and not lines.resume(known):
            known = {}
            lines.rewind()
        if known.get("inside"):
            yield from _pass_over(spec, path, lines)
        yield from _lines(spec, path, lines)


def _lines(spec: FilesSource, path: Path, lines: Lines) -> Iterator[Step]:
    batch, place, broken = Batch(), lines.place, None
    while True:
        try:
            line = lines.piece(spec.max_bytes + 1)
        except BROKEN as error:
            broken = error
            break
        if not line:
            break
        closed = line.endswith(b"\n")
        if not closed and len(line) <= spec.max_bytes and not _is_json(line):
            batch.skip("unfinished")  # somebody is still writing it: the next round reads it
            break
        place = lines.place
        if closed or len(line) <= spec.max_bytes:
            _take(batch, spec, path, line)
        else:
            batch.skip("too_long")
            yield batch.step({key(path): {**mark_of(place), "inside": True}})
            yield from _pass_over(spec, path, lines)
            place = lines.place
        if batch.full:
            yield batch.step({key(path): mark_of(place)})
    yield batch.step({key(path): mark_of(place)})
    if broken:
        raise broken


def _pass_over(spec: FilesSource, path: Path, lines: Lines) -> Iterator[Step]:
    """Go to the end of a line that is too long, with no more than a piece of it in memory."""
    pieces = 0
    while (piece := lines.piece(PIECE)) and not piece.endswith(b"\n"):
        pieces += 1
        if lines.packed and pieces * PIECE > BOMB * spec.max_bytes:
            raise Refused("bomb")
        if pieces % PIECES_PER_STEP == 0:
            yield Step(remember={key(path): {**mark_of(lines.place), "inside": True}})


def _take(batch: Batch, spec: FilesSource, path: Path, line: bytes) -> None:
    if not line.strip():
        return
    try:
        batch.add(_row(spec, path, line))
    except Refused as refusal:
        batch.skip(refusal.reason)


def _row(spec: FilesSource, path: Path, line: bytes) -> Row:
    try:
        record = json.loads(line.decode().removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise Refused("encoding") from error
    except (ValueError, RecursionError) as error:
        raise Refused("not_json") from error
    if not isinstance(record, dict):
        raise Refused("not_an_object")
    return from_record(spec, record, Found(str(path), sha256(line), now()))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
