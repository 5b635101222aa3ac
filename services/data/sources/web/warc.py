"""Pages recorded in WARC files, and the texts of WET files, read on from the last record of the round before."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import UTC
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastwarc import WarcRecord, WarcRecordType
from fastwarc.stream_io import BrotliReader, ChunkedReader

from schemas.rows import Row
from schemas.sources import WarcSource
from services.data.sources.batch import Batch
from services.data.sources.files import matches
from services.data.sources.lines import key
from services.data.sources.refusal import Refused
from services.data.sources.rows import Found, plain, sha256
from services.data.sources.source import State, Step
from services.data.sources.web import warc_records as records
from services.data.sources.web.inflate import MAGIC, unpacked
from services.data.sources.web.text import read
from services.data.sources.web.warc_records import Records

BLOCK = 16_384
"""Bytes before a record that are hashed, to know the file again."""

BEGIN = 64
"""Bytes of the record itself that are hashed with them: fewer than the shortest has."""


class Warc:
    """A source of WARC files. State: by path, the last record and, once all are read, the size."""

    def __init__(self, spec: WarcSource, round_: int, seed: int) -> None:
        self.name = spec.name
        self._spec = spec

    def harvest(self, state: State) -> Iterator[Step]:
        """Rows of the records behind the state's. Raises `SourceFailed` where there is no file at all."""
        for path in matches(self._spec.name, self._spec.paths):
            try:
                yield from self._file(path, state.get(key(path), {}))
            except OSError as error:
                yield Step(skipped={"missing" if isinstance(error, FileNotFoundError) else "broken": 1})

    def _file(self, path: Path, known: Mapping[str, Any]) -> Iterator[Step]:
        size, last = path.stat().st_size, -1
        if known and _mark(path, known["at"])["block"] == known["block"]:
            if known.get("size") == size:
                return
            last = known.get("again", known["at"])
        batch, again = Batch(), last
        for at, found in Records(path, last, self._spec.max_bytes):
            last = max(at, 0)
            again = again if _is_broken(found) else last
            self._take(batch, found)
            if batch.full:
                yield batch.step({key(path): _mark(path, last)})
        cut_off = {"again": again} if again < last else {}  # the end may still be on its way
        yield batch.step({key(path): {**_mark(path, last), "size": size, **cut_off}})

    def _take(self, batch: Batch, found: records.Found) -> None:
        try:
            if isinstance(found, Refused):
                raise found
            if row := self._row(*found):
                batch.add(row)
        except Refused as refusal:
            batch.skip(refusal.reason)

    def _row(self, record: WarcRecord, payload: bytes) -> Row | None:
        """The row of a record; none for an answer that is not HTTP's."""
        if record.record_type == WarcRecordType.conversion:
            body, kind = payload, "text/plain; charset=utf-8"
        elif not record.is_http:
            return None
        else:
            body, kind = self._answer(record, payload), record.http_headers.get("content-type") or ""
        text, licence = read(body, kind)
        uri = record.headers.get("WARC-Target-URI") or ""
        return plain(self._spec, text, Found(uri, sha256(body), _date(record), licence))

    def _answer(self, record: WarcRecord, payload: bytes) -> bytes:
        """The content of a recorded answer, without its chunks and unpacked."""
        status = record.http_headers.status_code if record.http_headers else None
        if status != HTTPStatus.OK:
            raise Refused("broken" if status is None else "status")
        try:
            if "chunked" in (record.http_headers.get("transfer-encoding") or "").lower():
                payload = ChunkedReader(io.BytesIO(payload)).read(len(payload))
            return self._unpacked((record.http_headers.get("content-encoding") or "").lower(), payload)
        except OSError as error:
            raise Refused("broken") from error

    def _unpacked(self, packing: str, payload: bytes) -> bytes:
        if payload.startswith(MAGIC):  # whoever recorded it may have unpacked it and kept the header
            return unpacked([payload], self._spec.max_bytes)
        if packing != "br":
            return payload
        body = BrotliReader(io.BytesIO(payload)).read(self._spec.max_bytes + 1)
        if len(body) > self._spec.max_bytes:
            raise Refused("too_long")
        return bytes(body)


def _is_broken(found: records.Found) -> bool:
    return isinstance(found, Refused) and found.reason == "broken"


def _mark(path: Path, at: int) -> dict[str, Any]:
    """The last record, and by what it is known again; before the first, nothing but the begin of the file."""
    start = max(0, at - BLOCK)
    with path.open("rb") as file:
        file.seek(start)
        return {"at": at, "block": sha256(file.read(max(0, at) - start + BEGIN))}


def _date(record: WarcRecord) -> str:
    """When it was recorded; empty where it does not say, or no calendar has the day."""
    try:
        return record.record_date.astimezone(UTC).isoformat(timespec="seconds") if record.record_date else ""
    except OverflowError:
        return ""
