"""The records of a WARC file, each with its offset, and a counted gap for what cannot be read.

FastWARC reads the records, with bounded memory. Behind what it cannot read the next record is looked for, which begins
with a member of gzip or a frame of zstd of its own, or with the name of the format.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fastwarc import ArchiveIterator, WarcRecord, WarcRecordType

from services.data.sources.refusal import Refused

MAGICS = (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"WARC/1.")
"""How a record begins: packed by gzip, by zstd, or plain."""

BOMB = 400
"""A record that claims so many times the allowed length is not unpacked to its end, but passed over as it lies."""

WINDOW = 1_048_576
"""Bytes that are searched at a time."""

WANTED = WarcRecordType.response | WarcRecordType.conversion
"""Recorded answers, and the texts that Common Crawl makes of them."""

Found = tuple[WarcRecord, bytes] | Refused
"""A record with its payload, or why there is none."""


class Records:
    """The wanted records of a file behind an offset."""

    def __init__(self, path: Path, last: int, limit: int) -> None:
        self._path = path
        self._last = last
        self._limit = limit
        self._gap = False

    def __iter__(self) -> Iterator[tuple[int, Found]]:
        """Offset and record. Behind an offset of -1 is every record."""
        with self._path.open("rb") as file, self._path.open("rb") as beside:
            if (magic := _magic(beside)) is None:
                yield 0, Refused("no_warc")
                return
            start: int | None = max(0, self._last)
            while start is not None:
                file.seek(start)
                yield from self._stretch(file, beside, magic, start)
                start = _next(beside, magic, max(self._last, start) + 1) if self._gap else None

    def _stretch(self, file: BinaryIO, beside: BinaryIO, magic: bytes, start: int) -> Iterator[tuple[int, Found]]:
        """Records up to the end, or up to what cannot be read, which leaves a gap."""
        was_gap, self._gap = self._gap, False
        try:
            for record in ArchiveIterator(file, record_types=WANTED):
                if (at := record.stream_pos) <= self._last:
                    continue
                if not _begins(beside, magic, at):
                    yield at, Refused("one_member")
                    return
                was_gap, self._last = False, at
                yield at, self._read(record)
                if self._gap:
                    return
        except OSError:
            self._gap = True
            if not was_gap:
                yield max(self._last, start), Refused("broken")

    def _read(self, record: WarcRecord) -> Found:
        length = record.content_length
        if length > self._limit:
            self._gap = length > BOMB * self._limit
            return Refused("too_long")
        payload = record.reader.read(length)
        if len(payload) < length:
            self._gap = True
            return Refused("broken")
        return record, payload


def _magic(file: BinaryIO) -> bytes | None:
    first = file.read(8)
    return next((magic for magic in MAGICS if first.startswith(magic)), None)


def _begins(file: BinaryIO, magic: bytes, at: int) -> bool:
    file.seek(at)
    return file.read(8).startswith(magic)


def _next(file: BinaryIO, magic: bytes, start: int) -> int | None:
    """Offset of the next place from `start` on that looks like the begin of a record."""
    file.seek(start)
    base, held = start, b""
    while window := file.read(WINDOW):
        held += window
        if (found := held.find(magic)) >= 0:
            return base + found
        base, held = base + len(held) - len(magic) + 1, held[-len(magic) + 1 :]
    return None
