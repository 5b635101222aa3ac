"""The records of a WARC file, each with its offset, and a counted gap for what cannot be read.

FastWARC reads the records, with bounded memory. Behind what it cannot read the next record is looked for, which begins
with a member of gzip or a frame of zstd of its own, or with the name of the format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
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


class Gap(Enum):
    """What is known of the bytes behind the last record."""

    NONE = "none"
    SILENT = "silent"
    """The reader saw the end there, which a damaged header makes it see as well."""
    TOLD = "told"
    """Something was refused there, and counted."""


class Records:
    """The wanted records of a file behind an offset."""

    def __init__(self, path: Path, last: int, limit: int) -> None:
        self._path = path
        self._last = last
        self._seen = max(0, last)
        self._limit = limit
        self._gap = Gap.NONE

    def __iter__(self) -> Iterator[tuple[int, Found]]:
        """Offset and record. Behind an offset of -1 is every record."""
        with self._path.open("rb") as file, self._path.open("rb") as beside:
            if (magic := _magic(beside)) is None:
                yield 0, Refused("no_warc")
                return
            start: int | None = self._seen
            while start is not None:
                self._seen = start
                file.seek(start)
                for at, found in self._stretch(ArchiveIterator(file)):
                    if not _begins(beside, magic, at):
                        yield at, Refused("one_member")
                        return
                    yield at, found
                start = _next(beside, magic, self._seen + 1)

    def _stretch(self, records: Iterable[WarcRecord]) -> Iterator[tuple[int, Found]]:
        """Records up to the end, or up to what cannot be read."""
        try:
            for record in records:
                before, self._seen = self._seen, record.stream_pos
                if self._seen <= self._last:
                    continue
                if self._gap is Gap.SILENT:
                    yield before, Refused("broken")
                self._gap = Gap.NONE
                if record.record_type & WANTED:
                    yield self._seen, self._read(record)
                if self._gap is Gap.TOLD:
                    return
        except OSError:
            if self._gap is Gap.NONE:
                self._gap = Gap.TOLD
                yield self._seen, Refused("broken")
        else:
            self._gap = Gap.SILENT

    def _read(self, record: WarcRecord) -> Found:
        length = record.content_length
        if length > self._limit:
            self._gap = Gap.TOLD if length > BOMB * self._limit else Gap.NONE
            return Refused("too_long")
        payload = record.reader.read(length)
        if len(payload) < length:
            self._gap = Gap.TOLD
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
