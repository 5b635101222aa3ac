"""JSON lines: one row per line, read on from where the last reading ended.

The place is a mark: the offset (in decompressed bytes) and the hash of the bytes before it. A file that has grown keeps
its mark and yields only its new lines; one that changed before the mark is read from the start.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self, cast

from schemas.rows import Row
from schemas.suites import ColumnNames
from services.data.sources.columns import Reader
from services.data.sources.rows import Provenance, now, path_key, sha256
from services.data.sources.source import EXAMPLE_CHARACTERS, Batch, Refused, Step
from tasks.records import parse_json
from tasks.zstd import open_zstd

BLOCK = 16_384
"""Bytes before a mark that are hashed."""

PIECE = 1_048_576
"""Bytes in memory of a line that is skipped."""

PIECES_PER_STEP = 64
"""Pieces of a skipped line between two steps, so that a crash does not restart a long line."""

EXPANSION = 400
"""A line of a compressed file longer than this many times the maximum is no text: the rest of the file is skipped."""

COMPRESSED = (".gz", ".zst")
"""Suffixes of compressed files."""

SAMPLED_LINES = 200
SAMPLED_BYTES = 1_000_000
"""The lines and bytes at a file's start by which the roles of its keys are detected, wherever reading goes on."""


class Place(NamedTuple):
    """A place between two pieces of a file."""

    offset: int
    before: bytes
    """Up to `BLOCK` bytes before it."""
    line: int | None
    """Number of the line that was begun last, from 1; None behind a mark of a release that did not count lines."""


BROKEN = (OSError, EOFError, zlib.error)
"""Errors of reading a file that is cut off, damaged or gone."""


@dataclass(frozen=True)
class Read:
    """One file that is being read."""

    reader: Reader
    path: Path
    roles: ColumnNames | None

    @property
    def most(self) -> int:
        """Maximum bytes of a line."""
        return self.reader.spec.max_bytes


def read_lines(reader: Reader, path: Path, before: Mapping[str, Any]) -> Iterator[Step]:
    """The rows behind the file's mark; each step stores the new mark under the file's path.

    Raises `Refused` for a compressed file that expands without end, and one of `BROKEN` if it cannot be read on.
    """
    read = Read(reader, path, reader.roles_of_lines(sampled_keys(path, reader.spec.max_bytes)))
    with Lines(path) as lines:
        if "offset" in before and not lines.resume(before):
            before = {}
            lines.rewind()
        if before.get("inside"):
            yield from _skip_line(read, lines)
        yield from _read_steps(read, lines)


def sampled_keys(path: Path, most: int) -> list[str]:
    """The keys of the first lines, each once; lines that are no object have none."""
    keys: dict[str, None] = {}
    size = 0
    with Lines(path) as lines:
        for _ in range(SAMPLED_LINES):
            try:
                line = lines.piece(most + 1)
            except BROKEN:
                break
            if not line or (size := size + len(line)) > SAMPLED_BYTES:
                break
            with contextlib.suppress(UnicodeDecodeError, ValueError, RecursionError):
                record = json.loads(line.decode().removeprefix("\ufeff"))
                keys |= dict.fromkeys(record) if isinstance(record, dict) else {}
    return list(keys)


def _read_steps(read: Read, lines: Lines) -> Iterator[Step]:
    path, most = read.path, read.most
    key, batch, place, failure = path_key(path), Batch(), lines.place, None
    while True:
        try:
            line = lines.piece(most + 1)
        except BROKEN as error:
            failure = error
            break
        if not line:
            break
        ends = line.endswith(b"\n")
        if not ends and len(line) <= most and not _is_json(line):
            batch.skip(
                "unfinished", lines.name, _shown(line)
            )  # its writer has not finished it: the next round reads it
            break
        place = lines.place
        if ends or len(line) <= most:
            _add(batch, read, line, lines.name)
        else:
            batch.skip("too_long", lines.name, _shown(line))
            yield batch.step({key: {**mark_of(place), "inside": True}})
            yield from _skip_line(read, lines)
            place = lines.place
        if batch.full:
            yield batch.step({key: mark_of(place)})
    yield batch.step({key: mark_of(place)})
    if failure:
        raise failure


def _skip_line(read: Read, lines: Lines) -> Iterator[Step]:
    """Go to the end of a line that is too long, with one piece of it in memory."""
    pieces = 0
    while (piece := lines.piece(PIECE)) and not piece.endswith(b"\n"):
        pieces += 1
        if lines.compressed and pieces * PIECE > EXPANSION * read.most:
            raise Refused("bomb")
        if pieces % PIECES_PER_STEP == 0:
            yield Step(remember={path_key(read.path): {**mark_of(lines.place), "inside": True}})


def _add(batch: Batch, read: Read, line: bytes, place: str) -> None:
    if not line.strip():
        return
    try:
        batch.add(_row(read, line))
    except Refused as refusal:
        batch.skip(refusal.reason, place, _shown(line))


def _shown(line: bytes) -> str:
    return line[:EXAMPLE_CHARACTERS].decode(errors="replace")


def _row(read: Read, line: bytes) -> Row:
    try:
        record = parse_json(line.decode().removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise Refused("encoding") from error
    except (ValueError, RecursionError) as error:
        raise Refused("not_json") from error
    if not isinstance(record, dict):
        raise Refused("not_an_object")
    return read.reader.row(record, Provenance(str(read.path), sha256(line), now()), read.roles)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def mark_of(place: Place) -> dict[str, Any]:
    """The stored mark of a place."""
    line = {"line": place.line} if place.line is not None else {}
    return {"offset": place.offset, "block": sha256(place.before), **line}


class Lines:
    """The lines of a file, read in pieces of bounded size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.compressed = path.suffix in COMPRESSED
        self.rewind()

    def rewind(self) -> None:
        """Start (again) at the first line."""
        self._file = _open(self._path)
        self._offset = 0
        self._before = b""
        self._line: int | None = 0
        self._begins = True

    def piece(self, size: int) -> bytes:
        """The next bytes up to a line break, at most `size`; empty at the end. Raises one of `BROKEN`."""
        piece = self._file.readline(size)
        self._offset += len(piece)
        self._before = (self._before + piece)[-BLOCK:]
        if piece and self._begins and self._line is not None:
            self._line += 1
        self._begins = piece.endswith(b"\n")
        return piece

    @property
    def place(self) -> Place:
        """The current place."""
        return Place(self._offset, self._before, self._line)

    @property
    def name(self) -> str:
        """The last line for people: its number, or where it ends in the decompressed file."""
        return f"{self._path}, " + (f"line {self._line}" if self._line is not None else f"up to byte {self._offset}")

    def resume(self, mark: Mapping[str, Any]) -> bool:
        """Go from the start to a mark; false if the file before it has changed."""
        start = max(0, mark["offset"] - BLOCK)
        self._skip(start)
        self._before = self._file.read(mark["offset"] - start)
        self._offset, self._line, self._begins = start + len(self._before), mark.get("line"), not mark.get("inside")
        return bool(self._offset == mark["offset"] and sha256(self._before) == mark["block"])

    def _skip(self, count: int) -> None:
        if not self.compressed:
            self._file.seek(count)
            return
        while count > 0 and (passed := len(self._file.read(min(count, PIECE)))):
            count -= passed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def _open(path: Path) -> BinaryIO:
    """The file, decompressed as it is read, never more at a time than requested."""
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path))
    if path.suffix == ".zst":
        return cast(BinaryIO, open_zstd(path))
    return path.open("rb")
