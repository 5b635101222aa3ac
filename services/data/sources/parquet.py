"""Parquet: rows by group, from the row where the last reading ended, if the file is still the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyarrow import parquet

from schemas.sources import FilesSource
from services.data.sources.batch import STEP_ROWS, Batch
from services.data.sources.lines import key
from services.data.sources.refusal import Refused
from services.data.sources.rows import Found, from_record, now, record_sha256, sha256
from services.data.sources.source import Step

FOOTER = 65_536
"""Bytes at the end of a Parquet file that are hashed: they say where each column lies, and how large it is."""

GROUP = 400
"""A column of a row group that unpacks to so many times the allowed length is not read."""


def harvest(spec: FilesSource, path: Path, known: Mapping[str, Any]) -> Iterator[Step]:
    """Steps that remember group, row and footer under the file's path.

    Raises `Refused` where a column is missing, `OSError` or `ArrowException` where the file cannot be read (on).
    """
    footer = _footer(path)
    if known.get("footer") != footer:
        known = {"footer": footer, "group": 0, "row": 0}
    with parquet.ParquetFile(path) as file:
        columns = _columns(spec, file.schema_arrow.names)
        for group in range(known["group"], file.num_row_groups):
            first = known["row"] if group == known["group"] else 0
            yield from _group(spec, path, file, columns, {"footer": footer, "group": group, "row": first})


def _group(
    spec: FilesSource, path: Path, file: parquet.ParquetFile, columns: list[str], place: Mapping[str, Any]
) -> Iterator[Step]:
    group, batch, seen = place["group"], Batch(), 0
    after = {key(path): {**place, "group": group + 1, "row": 0}}
    about = file.metadata.row_group(group)
    sizes = [about.column(i) for i in range(about.num_columns)]
    if any(c.total_uncompressed_size > GROUP * spec.max_bytes for c in sizes if c.path_in_schema in columns):
        yield Step(remember=after, skipped={"too_long": about.num_rows})
        return
    for part in file.iter_batches(STEP_ROWS, row_groups=[group], columns=columns):
        for record in part.slice(max(0, place["row"] - seen)).to_pylist():
            _take(batch, spec, path, record)
        seen += part.num_rows
        if seen > place["row"]:
            yield batch.step({key(path): {**place, "row": seen}})
    yield batch.step(after)


def _take(batch: Batch, spec: FilesSource, path: Path, record: Mapping[str, Any]) -> None:
    try:
        batch.add(from_record(spec, record, Found(str(path), record_sha256(record), now())))
    except Refused as refusal:
        batch.skip(refusal.reason)


def _columns(spec: FilesSource, has: list[str]) -> list[str]:
    if any(column not in has for column in spec.needed):
        raise Refused("no_column")
    return [*spec.needed, *(column for column in spec.optional if column in has)]


def _footer(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - FOOTER))
        return sha256(file.read() + str(size).encode())
