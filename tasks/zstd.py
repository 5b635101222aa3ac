"""Reads a zstd file to its last good byte, also where it is damaged or cut off.

pyarrow decompresses ahead: a damaged block takes everything with it that was decompressed in the same call, up to a
MiB. After an error the file is read once more with small calls, so that only the damage is left out.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa

PIECE = 1_048_576
"""Bytes that a reader asks for at once."""

SMALL = 512
"""Bytes of the reads that find the damage."""

SLOW = 131_072
"""Compressed bytes before the damage that are handed over singly, so that no block is decompressed with the next."""


class _Fed:
    """A file whose bytes are handed over in pieces, and singly from `slow_from` on."""

    def __init__(self, path: Path, slow_from: int | None = None) -> None:
        self._file, self._slow_from = path.open("rb"), slow_from
        self.position, self.closed = 0, False

    def read(self, size: int = -1) -> bytes:
        if self._slow_from is not None:
            rest = self._slow_from - self.position
            size = min(size, rest) if rest > 0 else 1
        data = self._file.read(size)
        self.position += len(data)
        return data

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True
        self._file.close()


class ZstdFile(io.RawIOBase):
    """The decompressed bytes of a file. An error of the format is raised behind the last good byte, as `OSError`."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self._tail, self._error = b"", None  # type: tuple[bytes, OSError | None]
        self._fed, self._stream = self._opened()

    def _opened(self, slow_from: int | None = None) -> tuple[_Fed, Any]:
        fed = _Fed(self._path, slow_from)
        return fed, pa.CompressedInputStream(pa.PythonFile(fed, mode="r"), "zstd")

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end. Raises `OSError` at the damage."""
        view = memoryview(buffer)
        if self._error is None:
            try:
                data: bytes = self._stream.read(len(view))
            except OSError as error:
                self._error, self._tail = error, self._recovered(len(view))
            else:
                self._offset += len(data)
                view[: len(data)] = data
                return len(data)
        if not self._tail:
            raise self._error
        data, self._tail = self._tail[: len(view)], self._tail[len(view) :]
        view[: len(data)] = data
        return len(data)

    def _recovered(self, wanted: int) -> bytes:
        """The good bytes behind the offset, at most `wanted`: first by small reads, then the last ones singly."""
        slow_from, good = max(0, self._fed.position - SLOW), b""
        for size in (SMALL, 1):
            good += self._read_on(slow_from, self._offset + len(good), wanted - len(good), size)
        return good

    def _read_on(self, slow_from: int, offset: int, wanted: int, size: int) -> bytes:
        """Bytes from an offset, read `size` at a time until one read fails."""
        fed, stream = self._opened(slow_from)
        good = bytearray()
        try:
            while offset > 0 and (passed := len(stream.read(min(offset, PIECE)))):
                offset -= passed
            while len(good) < wanted and (data := stream.read(min(size, wanted - len(good)))):
                good += data
        except OSError:
            pass  # the damage that the caller knows of
        finally:
            fed.close()
        return bytes(good)

    def close(self) -> None:
        """Close the file."""
        self._fed.close()
        super().close()


def open_zstd(path: Path) -> io.BufferedReader:
    """The decompressed bytes of a file, buffered."""
    return io.BufferedReader(ZstdFile(path), PIECE)
