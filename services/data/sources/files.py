"""Local files: JSON lines, Parquet and texts, each read on from where the last round ended.

A file is new if its bytes are, whatever its date: a copied or touched file is not read again. A file that fails is
skipped until it changes, and its rows so far stay.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pyarrow import ArrowException, parquet

from schemas.sources import FilesSource
from services.data.sources import jsonl
from services.data.sources.rows import Provenance, from_record, now, path_key, plain, record_sha256, sha256
from services.data.sources.source import STEP_ROWS, Batch, Refused, RoundContext, SourceFailed, State, Step

FOOTER = 65_536
"""Bytes at the end of a Parquet file that are hashed: they hold the place and size of each column."""

EXPANSION = 400
"""A column of a row group that decompresses to more than this many times the maximum length is not read."""


class Files:
    """A source of local files. State: by path, how far it was read."""

    def __init__(self, spec: FilesSource, context: RoundContext) -> None:
        self.name = spec.name
        self._spec = spec

    def harvest(self, state: State) -> Iterator[Step]:
        """The rows of the files behind the state. Raises `SourceFailed` if there is no file at all."""
        for path in matching_files(self._spec.name, self._spec.paths):
            reader = next((read for suffix, read in READERS.items() if path.name.endswith(suffix)), None)
            if reader is None:
                yield Step(skipped={"format": 1})
            else:
                yield from self._read_file(path, reader, state)

    def _read_file(self, path: Path, reader: Reader, state: State) -> Iterator[Step]:
        """One file's steps; a failure is remembered after its rows."""
        before = state.get(path_key(path), {})
        try:
            if before.get("given_up") == _stamp(path):
                return
            yield from reader(self._spec, path, before)
        except Refused as refusal:
            yield _give_up(path, state, refusal.reason)
        except FileNotFoundError:
            yield Step(skipped={"missing": 1})
        except (*jsonl.BROKEN, ArrowException):
            yield _give_up(path, state, "broken")


def matching_files(name: str, patterns: tuple[str, ...]) -> list[Path]:
    """Files of the patterns, in order; a name that is no pattern is one, even if the file is missing.

    Raises `SourceFailed` if no file exists.
    """
    paths: list[Path] = []
    for pattern in patterns:
        if glob.has_magic(pattern):
            paths += [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - may be absolute
        else:
            paths.append(Path(pattern))
    files = [path for path in dict.fromkeys(paths) if path.is_file() or not path.exists()]
    if not any(path.is_file() for path in files):
        raise SourceFailed(
            f"data.sources: {name}: paths {list(patterns)} match no file; correct them, and check which folder they "
            "start in"
        )
    return files


def _give_up(path: Path, state: State, reason: str) -> Step:
    key = path_key(path)
    return Step(remember={key: {**state.get(key, {}), "given_up": _stamp(path)}}, skipped={reason: 1})


def _stamp(path: Path) -> list[int]:
    about = path.stat()
    return [about.st_size, about.st_mtime_ns]


def _read_text(spec: FilesSource, path: Path, before: Mapping[str, Any]) -> Iterator[Step]:
    """A whole file as one row."""
    with path.open("rb") as file:
        data = file.read(spec.max_bytes + 1)
    if len(data) > spec.max_bytes:
        raise Refused("too_long")
    if before.get("sha256") == (digest := sha256(data)):
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("encoding") from error
    yield Step((plain(spec, text, Provenance(str(path), digest, now())),), {path_key(path): {"sha256": digest}})


def _read_parquet(spec: FilesSource, path: Path, before: Mapping[str, Any]) -> Iterator[Step]:
    """Rows by group, with group, row and a hash of the footer as the file's state.

    Raises `Refused` for a missing column, `OSError` or `ArrowException` for a file that cannot be read (on).
    """
    footer = _footer(path)
    if before.get("footer") != footer:
        before = {"footer": footer, "group": 0, "row": 0}
    with parquet.ParquetFile(path) as file:
        present = file.schema_arrow.names
        if any(column not in present for column in spec.needed):
            raise Refused("no_column")
        columns = [*spec.needed, *(column for column in spec.optional if column in present)]
        for group in range(before["group"], file.num_row_groups):
            first = before["row"] if group == before["group"] else 0
            yield from _read_group(spec, path, file, columns, {"footer": footer, "group": group, "row": first})


def _read_group(
    spec: FilesSource, path: Path, file: parquet.ParquetFile, columns: list[str], place: Mapping[str, Any]
) -> Iterator[Step]:
    group, batch, passed = place["group"], Batch(), 0
    after = {path_key(path): {**place, "group": group + 1, "row": 0}}
    about = file.metadata.row_group(group)
    sizes = [about.column(i) for i in range(about.num_columns)]
    if any(c.total_uncompressed_size > EXPANSION * spec.max_bytes for c in sizes if c.path_in_schema in columns):
        yield Step(remember=after, skipped={"too_long": about.num_rows})
        return
    for part in file.iter_batches(STEP_ROWS, row_groups=[group], columns=columns):
        for record in part.slice(max(0, place["row"] - passed)).to_pylist():
            try:
                batch.add(from_record(spec, record, Provenance(str(path), record_sha256(record), now())))
            except Refused as refusal:
                batch.skip(refusal.reason)
        passed += part.num_rows
        if passed > place["row"]:
            yield batch.step({path_key(path): {**place, "row": passed}})
    yield batch.step(after)


def _footer(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - FOOTER))
        return sha256(file.read() + str(size).encode())


Reader = Callable[[FilesSource, Path, Mapping[str, Any]], Iterator[Step]]
"""Reads a file from its state."""

READERS: dict[str, Reader] = {
    ".jsonl": jsonl.read_lines,
    ".jsonl.gz": jsonl.read_lines,
    ".jsonl.zst": jsonl.read_lines,
    ".parquet": _read_parquet,
    ".txt": _read_text,
    ".md": _read_text,
}
"""Reader by suffix."""
