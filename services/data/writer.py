"""Rows to a Parquet file that is called by their hash: a few hundred in memory at a time, and a file made once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from puzzles.item import Item
from schemas.rows import Row
from services.runtime.storage import artifacts
from services.runtime.storage.hashing import BATCH, hash_rows

PLAIN = tuple(field.name for field in fields(Item))
"""Columns of a snapshot of puzzles alone, as they were before rows had a provenance."""

WHOLE = tuple(field.name for field in fields(Row))
"""Columns of any other."""


def write(rows: Iterable[Row | Item], columns: Sequence[str], out: str) -> tuple[str, str]:
    """Id and place of the rows' file; it appears whole, or it is there already."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.parquet"
        with parquet.ParquetWriter(file, _schema(columns)) as writer:
            name = hash_rows(_through(rows, columns, writer))
        uri = artifacts.join(out, f"{name}.parquet")
        artifacts.copy_once(file, uri)
    return name, uri


def _through(rows: Iterable[Row | Item], columns: Sequence[str], writer: Any) -> Iterator[dict[str, Any]]:
    """The rows as they are written."""
    rest = iter(rows)
    while batch := [{column: getattr(row, column) for column in columns} for row in islice(rest, BATCH)]:
        writer.write_table(pa.Table.from_pylist(batch, writer.schema))
        yield from batch


def _schema(columns: Sequence[str]) -> Any:
    whole = ("difficulty", "wording")
    return pa.schema([(column, pa.int64() if column in whole else pa.string()) for column in columns])
