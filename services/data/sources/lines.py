"""A file of lines that is read on from where the last reading ended, if what was read before is still there.

The place is a mark: the offset (in unpacked bytes) and the hash of the bytes before it. A file that has grown keeps its
mark and gives its new lines alone; one that has changed before the mark does not, and is read anew.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import pyarrow as pa

from services.data.sources.rows import sha256, whole

BLOCK = 16_384
"""Bytes before a mark that are hashed."""

PIECE = 1_048_576
"""Bytes that are held of a line that is passed over."""

PACKED = (".gz", ".zst")
"""Endings of packed files."""

Place = tuple[int, bytes]
"""An offset, and up to `BLOCK` bytes before it."""

BROKEN = (OSError, EOFError, zlib.error)
"""What reading a file raises that is cut off, damaged or gone."""


def key(path: Path) -> str:
    """What a file's state is remembered under: its path."""
    return whole(str(path))


def mark_of(place: Place) -> dict[str, Any]:
    """What is remembered of a place."""
    offset, before = place
    return {"offset": offset, "block": sha256(before)}


class Lines:
    """The lines of a file. A line is read in pieces of bounded size, however long it is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.packed = path.suffix in PACKED
        self.rewind()

    def rewind(self) -> None:
        """Begin (again) with the first line."""
        self._file = _open(self._path)
        self._offset = 0
        self._before = b""

    def piece(self, size: int) -> bytes:
        """The next bytes up to a line break, at most `size`; empty at the end. Raises one of `BROKEN`."""
        piece = self._file.readline(size)
        self._offset += len(piece)
        self._before = (self._before + piece)[-BLOCK:]
        return piece

    @property
    def place(self) -> Place:
        """Where reading has come to: the offset and the bytes before it."""
        return self._offset, self._before

    def resume(self, mark: Mapping[str, Any]) -> bool:
        """Go to a mark, just opened; false where the file is another one now."""
        start = max(0, mark["offset"] - BLOCK)
        self._skip(start)
        self._before = self._file.read(mark["offset"] - start)
        self._offset = start + len(self._before)
        return mark_of(self.place) == {"offset": mark["offset"], "block": mark["block"]}

    def _skip(self, count: int) -> None:
        if not self.packed:
            self._file.seek(count)
            return
        while count > 0 and (passed := len(self._file.read(min(count, PIECE)))):
            count -= passed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def _open(path: Path) -> BinaryIO:
    """The file's bytes, unpacked as they are read, never more at a time than are asked for."""
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path))
    if path.suffix == ".zst":
        return io.BufferedReader(pa.input_stream(path, compression="zstd"), PIECE)
    return path.open("rb")
