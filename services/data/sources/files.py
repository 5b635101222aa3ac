"""Local files: records, texts and folders of `datasets`, each read on from where the last round ended.

A file is new if its bytes are, whatever its date: a copied or touched file is not read again. A file that fails is
skipped until it changes, and its rows so far stay.
"""

from __future__ import annotations

import glob
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pyarrow import ArrowException, parquet

from schemas.sources import FilesSource
from schemas.suites import ColumnNames
from services.data.sources import jsonl
from services.data.sources.columns import Reader, records_of
from services.data.sources.rows import Provenance, now, path_key, plain, record_sha256, sha256
from services.data.sources.source import STEP_ROWS, Batch, Refused, RoundContext, SourceFailed, State, Step, skipped
from tasks.formats import FormatUnknown, Unreadable
from tasks.records import FileUnreadable, fingerprint, records
from tasks.suite import SuiteRefused

log = logging.getLogger(__name__)

FOOTER = 65_536
"""Bytes at the end of a Parquet file that are hashed: they hold the place and size of each column."""

EXPANSION = 400
"""A column of a row group that decompresses to more than this many times the maximum length is not read."""

SAMPLED = 200
"""The records at a file's start by which the roles of its columns are detected."""

LARGEST = 1 << 30
"""Bytes of a JSON array, decompressed, which is read as a whole; larger ones belong in lines."""


class Files:
    """A source of local files. State: by path, how far it was read."""

    def __init__(self, spec: FilesSource, context: RoundContext) -> None:
        self.name = spec.name
        self._spec, self._context = spec, context
        self._reader = Reader(spec, context)

    def harvest(self, state: State) -> Iterator[Step]:
        """The rows of the files behind the state. Raises `SourceFailed` if there is no file at all."""
        for path in matching_files(self._spec.name, [here(name, self._context) for name in self._spec.paths]):
            if (read := reading(path)) is None:
                yield skipped("format", str(path))
            else:
                yield from self._read_file(path, read, state)

    def _read_file(self, path: Path, read: Read, state: State) -> Iterator[Step]:
        """One file's steps; a failure is remembered after its rows."""
        before = state.get(path_key(path), {})
        try:
            if before.get("given_up") == _stamp(path):
                return
            yield from read(self._reader, path, before)
        except Refused as refusal:
            yield _give_up(path, state, refusal.reason)
        except FileNotFoundError:
            yield skipped("missing", str(path))
        except (*jsonl.BROKEN, ArrowException, FileUnreadable) as error:
            log.warning("data.sources: %s: %s", self.name, error)
            yield _give_up(path, state, "broken")


def here(name: str, context: RoundContext) -> str:
    """A path of the campaign file; that of a campaign with suites may lie in a folder of the operator's tasks."""
    if context.suites is None or Path(name).exists():
        return name
    try:
        return str(context.suites.places.items(name))
    except SuiteRefused:
        return name


def matching_files(name: str, patterns: Sequence[str]) -> list[Path]:
    """Files of the patterns, in order. A name that exists, or is no pattern, is one, even if the file is missing.

    A folder stands for its files, unless `save_to_disk` wrote it. Raises `SourceFailed` if no file exists, or for a
    folder of several splits.
    """
    paths: list[Path] = []
    for pattern in patterns:
        place = Path(pattern)
        if place.is_dir() and not is_saved(place):
            if (place / "dataset_dict.json").is_file():
                splits = sorted(part.name for part in place.iterdir() if is_saved(part))
                raise SourceFailed(
                    f"data.sources: {name}: paths {pattern!r} holds the splits {', '.join(splits)}; name one of them, "
                    f"as {pattern}/{(splits or ['train'])[0]}"
                )
            paths += sorted(file for file in place.iterdir() if reading(file) is not None)
        elif not place.exists() and glob.has_magic(pattern):
            matching = glob.glob(_pattern(place), recursive=True)  # noqa: PTH207 - may be absolute
            paths += map(Path, sorted(matching))
        else:
            paths.append(place)
    files = [path for path in dict.fromkeys(paths) if path.is_file() or not path.exists() or is_saved(path)]
    if not any(path.exists() for path in files):
        raise SourceFailed(
            f"data.sources: {name}: paths {list(patterns)} match no file; correct them, and check which folder they "
            "start in"
        )
    return files


def _pattern(place: Path) -> str:
    """A pattern in which folders that exist, such as `run [2]`, are taken by their names."""
    folder = next(parent for parent in place.parents if parent.exists())
    return str(Path(glob.escape(str(folder))) / place.relative_to(folder))


def is_saved(path: Path) -> bool:
    """Whether `save_to_disk` of `datasets` wrote a folder."""
    return path.is_dir() and (path / "state.json").is_file()


def _give_up(path: Path, state: State, reason: str) -> Step:
    key = path_key(path)
    return skipped(reason, str(path), {key: {**state.get(key, {}), "given_up": _stamp(path)}})


def _stamp(path: Path) -> list[int]:
    about = path.stat()
    return [about.st_size, about.st_mtime_ns]


def _read_text(reader: Reader, path: Path, before: Mapping[str, Any]) -> Iterator[Step]:
    """A whole file as one row."""
    with path.open("rb") as file:
        data = file.read(reader.spec.max_bytes + 1)
    if len(data) > reader.spec.max_bytes:
        raise Refused("too_long")
    if before.get("sha256") == (digest := sha256(data)):
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("encoding") from error
    yield Step((plain(reader.spec, text, Provenance(str(path), digest, now())),), {path_key(path): {"sha256": digest}})


def _read_whole(reader: Reader, path: Path, before: Mapping[str, Any]) -> Iterator[Step]:
    """The records of a file that is read anew if it changes, with its hash and the next record as its state.

    Raises `Refused` for a file without a known column or of too many bytes, or `FileUnreadable`.
    """
    digest, key, batch = fingerprint(path), path_key(path), Batch()
    first = before["row"] if before.get("sha256") == digest else 0
    if ".json" in path.suffixes and _longer(path, LARGEST):
        raise Refused("too_long")
    found = records(path)
    sample = list(islice(found, SAMPLED))
    columns = {name: None for record in sample if not isinstance(record, Unreadable) for name in record}
    try:
        roles = reader.roles(list(columns)) if columns else None
    except FormatUnknown as error:
        log.warning("data.sources: %s: %s: %s", reader.spec.name, path, error)
        raise Refused("no_column") from error
    row, failure = first, None
    try:
        for row, record in enumerate(islice(chain(sample, found), first, None), first + 1):
            place = f"{path}#{row}"
            try:
                batch.add(reader.row(record, Provenance(place, record_sha256(record), now()), roles))
            except Refused as refusal:
                batch.skip(refusal.reason, place, record)
            if batch.full:
                yield batch.step({key: {"sha256": digest, "row": row}})
    except FileUnreadable as error:
        failure = error
    if not batch.empty or row > first:
        yield batch.step({key: {"sha256": digest, "row": row}})
    if failure:
        raise failure


def _longer(path: Path, most: int) -> bool:
    """Whether a file has more bytes, decompressed."""
    if path.suffix not in jsonl.COMPRESSED:
        return path.stat().st_size > most
    with jsonl.Lines(path) as lines:
        size = 0
        while size <= most and (piece := lines.piece(jsonl.PIECE)):
            size += len(piece)
    return size > most


def _read_parquet(reader: Reader, path: Path, before: Mapping[str, Any]) -> Iterator[Step]:
    """Rows by group, with group, row and a hash of the footer as the file's state.

    Raises `Refused` for a missing column, `OSError` or `ArrowException` for a file that cannot be read (on).
    """
    footer = _footer(path)
    if before.get("footer") != footer:
        before = {"footer": footer, "group": 0, "row": 0}
    with parquet.ParquetFile(path) as file:
        present = file.schema_arrow.names
        try:
            roles = reader.roles(present)
        except FormatUnknown as error:
            log.warning("data.sources: %s: %s: %s", reader.spec.name, path, error)
            raise Refused("no_column") from error
        group = Group(reader, path, file, reader.read_columns(present, roles), roles)
        for number in range(before["group"], file.num_row_groups):
            first = before["row"] if number == before["group"] else 0
            yield from group.steps({"footer": footer, "group": number, "row": first})


@dataclass(frozen=True)
class Group:
    """The row groups of one Parquet file."""

    reader: Reader
    path: Path
    file: parquet.ParquetFile
    columns: list[str]
    roles: ColumnNames | None

    def steps(self, place: Mapping[str, Any]) -> Iterator[Step]:
        """The rows of a group from a place on."""
        path, batch, passed = self.path, Batch(), 0
        after = {path_key(path): {**place, "group": place["group"] + 1, "row": 0}}
        if rows := self._too_large(place["group"]):
            yield skipped("too_long", f"{path}, row group {place['group']}", after, count=rows)
            return
        for part in self.file.iter_batches(STEP_ROWS, row_groups=[place["group"]], columns=self.columns):
            first = max(0, place["row"] - passed)
            for at, record in enumerate(records_of(part.slice(first)), passed + first + 1):
                try:
                    provenance = Provenance(str(path), record_sha256(record), now())
                    batch.add(self.reader.row(record, provenance, self.roles))
                except Refused as refusal:
                    batch.skip(refusal.reason, f"{path}, row group {place['group']}, row {at}", record)
            passed += part.num_rows
            if passed > place["row"]:
                yield batch.step({path_key(path): {**place, "row": passed}})
        yield batch.step(after)

    def _too_large(self, group: int) -> int:
        """The rows of a group of which a column decompresses too far, else 0."""
        about = self.file.metadata.row_group(group)
        most = EXPANSION * self.reader.spec.max_bytes
        sizes = (about.column(i) for i in range(about.num_columns))
        used = (c.total_uncompressed_size for c in sizes if c.path_in_schema.partition(".")[0] in self.columns)
        return int(about.num_rows) if any(size > most for size in used) else 0


def _footer(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - FOOTER))
        return sha256(file.read() + str(size).encode())


Read = Callable[[Reader, Path, Mapping[str, Any]], Iterator[Step]]
"""Reads a file from its state."""

READERS: dict[str, Read] = {
    ".jsonl": jsonl.read_lines,
    ".ndjson": jsonl.read_lines,
    ".json": _read_whole,
    ".csv": _read_whole,
    ".tsv": _read_whole,
    ".arrow": _read_whole,
    ".parquet": _read_parquet,
    ".txt": _read_text,
    ".md": _read_text,
}
"""Reader by suffix."""

PLAIN_ONLY = (".parquet", ".arrow", ".txt", ".md")
"""Formats that are not read compressed."""


def reading(path: Path) -> Read | None:
    """The reader of a file by its suffix, None for an unknown format."""
    if is_saved(path):
        return _read_whole
    name = path.name.lower()
    for packed in jsonl.COMPRESSED:
        if name.endswith(packed):
            name = name.removesuffix(packed)
            return next((read for end, read in READERS.items() if name.endswith(end) and end not in PLAIN_ONLY), None)
    return next((read for end, read in READERS.items() if name.endswith(end)), None)
