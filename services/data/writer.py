"""Writes a snapshot: a Parquet file named by the hash of its rows, a few hundred rows in memory at a time."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from schemas.evidence import Yield
from schemas.rows import Row
from services.data.job import Snapshot
from services.runtime.storage import artifacts
from services.runtime.storage.hashing import BATCH, hash_rows
from tasks.item import Item

PUZZLE_COLUMNS = ("domain", "difficulty", "wording", "prompt", "answer", "trace", "core")
"""Columns of a snapshot of puzzles alone, the same since before rows had a provenance."""

ALL_COLUMNS = tuple(field.name for field in fields(Row))
"""Columns that a snapshot with collected rows may have."""

LATER_COLUMNS = ("form", "messages", "rejected", "columns")
"""Columns that only those snapshots have of which a row fills them, so that older ones keep their hash."""


def columns_with(filled: Collection[str]) -> tuple[str, ...]:
    """Columns of a snapshot whose rows fill these later ones."""
    return tuple(name for name in ALL_COLUMNS if name not in LATER_COLUMNS or name in filled)


Report = Callable[[dict[str, Any]], None]
"""Takes the progress of a job."""


class Clock:
    """Wall and processor seconds since it was made."""

    def __init__(self) -> None:
        self.wall, self.processor = time.monotonic(), time.process_time()

    def lap(self) -> tuple[float, float]:
        """Wall seconds and processor seconds."""
        return time.monotonic() - self.wall, time.process_time() - self.processor


def write_snapshot(
    puzzles: Sequence[Item],
    collected: Iterable[Row],
    columns: Sequence[str],
    out: str,
    yields: tuple[Yield, ...],
    clock: Clock,
    **extra: Any,
) -> Snapshot:
    """Write the rows to the folder `out`, counting them; `extra` holds further fields of the snapshot."""
    rows, characters = Counter[str](), Counter[str]()

    def counted() -> Iterator[Row]:
        items = (Row(**{column: getattr(item, column) for column in PUZZLE_COLUMNS}) for item in puzzles)
        for row in chain(items, collected):
            rows[row.domain] += 1
            characters[row.domain] += len("".join((row.prompt + row.completion(traced=True)).split()))
            yield row

    name, uri = write_rows(counted(), columns, out)
    seconds, device_seconds = clock.lap()
    return Snapshot(
        snapshot=name,
        uri=uri,
        rows=dict(rows),
        tokens=dict(characters),
        yields=yields,
        seconds=seconds,
        device_seconds=device_seconds,
        **extra,
    )


def write_rows(rows: Iterable[Row | Item], columns: Sequence[str], out: str) -> tuple[str, str]:
    """Id and URI of the rows' file. The file appears complete; an existing one is kept."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.parquet"
        with parquet.ParquetWriter(file, _schema(columns)) as writer:
            name = hash_rows(_written(rows, columns, writer))
        uri = artifacts.join(out, f"{name}.parquet")
        artifacts.copy_once(file, uri)
    return name, uri


def _written(rows: Iterable[Row | Item], columns: Sequence[str], writer: Any) -> Iterator[dict[str, Any]]:
    """Write the rows in batches and yield each."""
    rest = iter(rows)
    while batch := [{column: getattr(row, column) for column in columns} for row in islice(rest, BATCH)]:
        writer.write_table(pa.Table.from_pylist(batch, writer.schema))
        yield from batch


def _schema(columns: Sequence[str]) -> Any:
    integers = ("difficulty", "wording")
    return pa.schema([(column, pa.int64() if column in integers else pa.string()) for column in columns])
