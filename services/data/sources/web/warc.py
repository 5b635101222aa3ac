"""Pages recorded in WARC files, and the texts of WET files, read on from the last record of the round before.

FastWARC reads the records with bounded memory. After an unreadable part, the next record is searched: each starts with
its own gzip member or zstd frame, or with the name of the format.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from enum import Enum
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

from fastwarc import ArchiveIterator, WarcRecord, WarcRecordType

from schemas.rows import Row
from schemas.sources import WarcSource
from services.data.sources.files import matching_files
from services.data.sources.rows import Provenance, path_key, plain, sha256
from services.data.sources.source import Batch, Refused, RoundContext, State, Step, skipped
from services.data.sources.web.inflate import MAGIC, PADDING, dechunked, decoded
from services.data.sources.web.text import read

BLOCK = 16_384
"""Bytes before a record that are hashed, to recognise the file."""

RECORD_START = 64
"""Bytes of the record itself that are hashed with them: fewer than the shortest record has."""

MAGICS = (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"WARC/1.")
"""First bytes of a record: of gzip, of zstd, or uncompressed."""

EXPANSION = 400
"""A record that claims more than this many times the maximum length is skipped without decompressing it."""

WINDOW = 1_048_576
"""Bytes that are searched at a time."""

TYPES = {"response": WarcRecordType.response, "conversion": WarcRecordType.conversion}
"""Recorded responses, and the texts that Common Crawl extracts from them."""

Record = tuple[WarcRecord, bytes] | Refused
"""A record with its payload, or the reason why it has none."""


class Warc:
    """A source of WARC files. State: by path, the last record and, once all are read, the size."""

    def __init__(self, spec: WarcSource, context: RoundContext) -> None:
        self.name = spec.name
        self._spec = spec

    def harvest(self, state: State) -> Iterator[Step]:
        """Rows of the records behind the state. Raises `SourceFailed` if there is no file at all."""
        for path in matching_files(self._spec.name, self._spec.paths):
            try:
                yield from self._file(path, state.get(path_key(path), {}))
            except OSError as error:
                yield skipped("missing" if isinstance(error, FileNotFoundError) else "broken", str(path))

    def _file(self, path: Path, before: Mapping[str, Any]) -> Iterator[Step]:
        key, size, last = path_key(path), path.stat().st_size, -1
        if before and _mark(path, before["at"])["block"] == before["block"]:
            if before.get("size") == size:
                return
            last = before.get("again", before["at"])
        batch, again = Batch(), last
        for at, record in Records(path, last, self._spec.max_bytes):
            last = max(at, 0)
            again = again if isinstance(record, Refused) and record.reason == "broken" else last
            self._add(batch, record, f"{path}, byte {at}" if at >= 0 else str(path))
            if batch.full:
                yield batch.step({key: _mark(path, last)})
        cut_off = {"again": again} if again < last else {}  # the file may still be arriving
        yield batch.step({key: {**_mark(path, last), "size": size, **cut_off}})

    def _add(self, batch: Batch, record: Record, place: str) -> None:
        try:
            if isinstance(record, Refused):
                raise record
            if row := self._row(*record):
                batch.add(row)
        except Refused as refusal:
            batch.skip(refusal.reason, place, "" if isinstance(record, Refused) else _uri(record[0]))

    def _row(self, record: WarcRecord, payload: bytes) -> Row | None:
        """The row of a record; None for a response of another protocol than HTTP."""
        if type_of(record) == TYPES["conversion"]:
            body, kind = payload, "text/plain; charset=utf-8"
        elif not record.is_http:
            return None
        else:
            body, kind = self._body(record, payload), record.http_headers.get("content-type") or ""
        text, licence = read(body, kind)
        return plain(self._spec, text, Provenance(_uri(record), sha256(body), _date(record), licence))

    def _body(self, record: WarcRecord, payload: bytes) -> bytes:
        """The content of a recorded response, without chunking and decompressed."""
        status = record.http_headers.status_code if record.http_headers else None
        if status != HTTPStatus.OK:
            raise Refused("broken" if status is None else "status")
        if "chunked" in (record.http_headers.get("transfer-encoding") or "").lower():
            payload = dechunked(payload)
        return decoded(payload, record.http_headers.get("content-encoding") or "", self._spec.max_bytes)


def _mark(path: Path, at: int) -> dict[str, Any]:
    """The last record, with a hash that identifies it; before the first one, the start of the file."""
    start = max(0, at - BLOCK)
    with path.open("rb") as file:
        file.seek(start)
        return {"at": at, "block": sha256(file.read(max(0, at) - start + RECORD_START))}


def _uri(record: WarcRecord) -> str:
    return record.headers.get("WARC-Target-URI") or ""


def type_of(record: WarcRecord) -> WarcRecordType:
    """The type of a record; FastWARC knows it only by the usual spelling of `WARC-Type`."""
    if record.record_type != WarcRecordType.no_type:
        return record.record_type
    return TYPES.get((record.headers.get("WARC-Type") or "").strip().lower(), WarcRecordType.no_type)


def _date(record: WarcRecord) -> str:
    """When it was recorded; empty if it states no date, or an impossible one."""
    try:
        return record.record_date.astimezone(UTC).isoformat(timespec="seconds") if record.record_date else ""
    except OverflowError:
        return ""


class Gap(Enum):
    """What is known of the bytes behind the last record."""

    NONE = "none"
    SILENT = "silent"
    """The reader saw the end there; a damaged header looks the same."""
    COUNTED = "counted"
    """A refusal there has been counted."""


class Records:
    """The response and conversion records of a file behind an offset."""

    def __init__(self, path: Path, last: int, limit: int) -> None:
        self._path = path
        self._last = last
        self._position = max(0, last)
        self._limit = limit
        self._gap = Gap.NONE

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        """Offset and record. Every record is behind an offset of -1."""
        with self._path.open("rb") as file, self._path.open("rb") as lookahead:
            first = lookahead.read(8)
            magic = next((magic for magic in MAGICS if first.startswith(magic)), None)
            if magic is None:
                yield 0, Refused("no_warc")
                return
            start: int | None = self._position
            while start is not None:
                self._position = start
                file.seek(start)
                for at, record in self._stretch(ArchiveIterator(file)):
                    lookahead.seek(at)
                    if not lookahead.read(8).startswith(magic):
                        yield at, Refused("one_member")
                        return
                    yield at, record
                start = _next(lookahead, magic, self._position + 1)

    def _stretch(self, records: Iterable[WarcRecord]) -> Iterator[tuple[int, Record]]:
        """Records up to the end, or up to an unreadable part."""
        iterated = False
        try:
            for record in records:
                iterated = True
                before, self._position = self._position, record.stream_pos
                if self._position <= self._last:
                    continue
                if self._gap is Gap.SILENT:
                    yield before, Refused("broken")
                self._gap = Gap.NONE
                if type_of(record) in TYPES.values():
                    yield self._position, self._read(record)
                if self._gap is Gap.COUNTED:
                    return
        except OSError:
            if self._gap is Gap.NONE and not (iterated and self._pass_padding()):
                self._gap = Gap.COUNTED
                yield self._position, Refused("broken")
        else:
            self._gap = Gap.SILENT

    def _pass_padding(self) -> bool:
        """Go on behind the padding that follows the last record, which must be a whole gzip member."""
        with self._path.open("rb") as file:
            file.seek(self._position)
            behind = _behind_member(file)
            if not behind or behind[0] not in PADDING:
                return False
            while behind and not (left := behind.lstrip(PADDING)):
                behind = file.read(WINDOW)
            if behind and not left.startswith(MAGIC[: len(left)]):
                return False
            self._position = file.tell() - len(left) - 1
            return True

    def _read(self, record: WarcRecord) -> Record:
        length = record.content_length
        if record.headers.get("Content-Length") is None:  # FastWARC takes such a record for an empty one
            self._gap = Gap.COUNTED
            return Refused("broken")
        if length > self._limit:
            self._gap = Gap.COUNTED if length > EXPANSION * self._limit else Gap.NONE
            return Refused("too_long")
        payload = record.reader.read(length)
        if len(payload) < length:
            self._gap = Gap.COUNTED
            return Refused("broken")
        return record, payload


def _behind_member(file: BinaryIO) -> bytes:
    """Read one gzip member; some bytes behind it, none if it is damaged or the last."""
    decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        while chunk := file.read(WINDOW):
            while chunk:
                decompressor.decompress(chunk, WINDOW)
                if decompressor.eof:
                    return decompressor.unused_data or file.read(WINDOW)
                chunk = decompressor.unconsumed_tail
    except zlib.error:
        pass
    return b""


def _next(file: BinaryIO, magic: bytes, start: int) -> int | None:
    """Offset of the next place from `start` on that looks like the start of a record."""
    file.seek(start)
    base, buffer = start, b""
    while window := file.read(WINDOW):
        buffer += window
        if (offset := buffer.find(magic)) >= 0:
            return base + offset
        base, buffer = base + len(buffer) - len(magic) + 1, buffer[-len(magic) + 1 :]
    return None
