"""The records of a user's file, in order, with every record that cannot be read counted by its reason.

Formats by suffix: JSON lines, a JSON array, CSV and TSV (each also .gz and .zst), Parquet, Arrow, and the folders that
`datasets` writes by `save_to_disk`. A record that is damaged spoils no other. Needs no library but pyarrow.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

from tasks.formats import Number, Unreadable

MAX_RECORD = 5_000_000
"""Bytes of a line and characters of a CSV value; longer ones are refused."""

MAX_ARRAY = 1_000_000_000
"""Bytes of a JSON array, which is read as a whole."""

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")
COMPRESSED = (".gz", ".zst")

SPLITS = ("train", "dev", "validation", "valid", "val", "eval", "test")
"""Beginnings of the names of files that are parts of one data set."""

Record = Mapping[str, Any]

DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    RecursionError,
    NotImplementedError,
    zlib.error,
    csv.Error,
)
"""What readers raise for a file that is damaged as a whole."""


class FileUnreadable(ValueError):
    """A file that holds no records; the message names the file, the fault and the remedy."""


def format_of(path: Path) -> str:
    """The suffix that decides how a file is read, or `folder`. Raises `FileUnreadable`."""
    if path.is_dir():
        return "folder"
    suffix = Path(path.stem).suffix if path.suffix in COMPRESSED else path.suffix
    if suffix.lower() not in SUFFIXES:
        raise FileUnreadable(
            f"{path}: {path.suffix or 'no suffix'} is no known format; use {', '.join(SUFFIXES)} (text also with .gz "
            "or .zst), or a folder of `datasets`"
        )
    if path.suffix in COMPRESSED and suffix.lower() in (".parquet", ".arrow"):
        raise FileUnreadable(f"{path}: {suffix} is not read compressed; unpack it, it holds compressed columns anyway")
    return suffix.lower()


def records(path: Path) -> Iterator[Record | Unreadable]:
    """Every record of a file, or the reason why it cannot be read.

    Raises `FileUnreadable` for a file of no known format, or one that is damaged as a whole.
    """
    readers: Mapping[str, Callable[[Path], Iterator[Record | Unreadable]]] = {
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".json": _json,
        ".csv": _csv,
        ".tsv": _csv,
        ".parquet": _parquet,
        ".arrow": _arrow,
        "folder": _folder,
    }
    if not path.exists():
        raise FileUnreadable(f"{path}: does not exist; correct the name, or bring the file")
    try:
        yield from readers[format_of(path)](path)
    except FileUnreadable:
        raise
    except DAMAGED as error:
        raise FileUnreadable(f"{path}: {type(error).__name__}: {error}; the file is damaged or no such file") from error


def parse_json(text: str | bytes) -> Any:
    """A JSON value whose numbers keep their spelling, and in which NaN and infinities are missing values."""
    return json.loads(text, parse_float=Number, parse_constant=lambda _: None)


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path))
    if path.suffix == ".zst":
        from tasks.zstd import open_zstd  # noqa: PLC0415 - 0.1 s, for compressed files alone

        return open_zstd(path)
    return path.open("rb")


def _json_lines(path: Path) -> Iterator[Record | Unreadable]:
    with _open(path) as file:
        while line := file.readline(MAX_RECORD + 1):
            if len(line) > MAX_RECORD:
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_RECORD)
                yield Unreadable("too_long")
            elif line.strip(b"\xef\xbb\xbf \t\r\n"):
                yield _parsed(line)


def _parsed(line: bytes) -> Record | Unreadable:
    try:
        value = parse_json(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Unreadable("encoding")
    except (ValueError, RecursionError):
        return Unreadable("not_json")
    return value if isinstance(value, dict) else Unreadable("not_an_object")


def _json(path: Path) -> Iterator[Record | Unreadable]:
    """An array of objects, an object with one such array, or, as some name them, JSON lines."""
    with _open(path) as file:
        data = file.read(MAX_ARRAY + 1)
    if len(data) > MAX_ARRAY:
        raise FileUnreadable(f"{path}: it is larger than {MAX_ARRAY} bytes; write one object per line, as .jsonl")
    try:
        value = parse_json(data.decode("utf-8-sig"))
    except RecursionError as error:
        raise FileUnreadable(f"{path}: it is nested too deep; write one object per line") from error
    except ValueError as error:
        if b"\n" in data.strip() and data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            yield from _json_lines(path)
            return
        raise FileUnreadable(f"{path}: no JSON ({error}); write an array of objects, or one object per line") from error
    if isinstance(value, dict):
        arrays = [part for part in value.values() if isinstance(part, list) and part and isinstance(part[0], dict)]
        value = arrays[0] if len(arrays) == 1 else [value]
    if not isinstance(value, list):
        raise FileUnreadable(f"{path}: it holds no array of objects; write one, or one object per line")
    for entry in value:
        yield entry if isinstance(entry, dict) else Unreadable("not_an_object")


def _csv(path: Path) -> Iterator[Record | Unreadable]:
    """Every value is the text between the separators: `007`, `NA` and `True` stay as they are."""
    separator = "\t" if format_of(path) == ".tsv" else ","
    with _open(path) as binary, io.TextIOWrapper(binary, "utf-8-sig", errors="surrogateescape", newline="") as file:
        csv.field_size_limit(MAX_RECORD)
        rows = csv.reader(file, delimiter=separator, strict=True)
        header = [name.strip() for name in next(rows, [])]
        if not any(header):
            raise FileUnreadable(f"{path}: it has no header; name the columns in the first line")
        if not _is_text("".join(header)):
            raise FileUnreadable(f"{path}: its header is no UTF-8; save the table as UTF-8")
        _once(path, header)
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield Unreadable("too_long" if "limit" in str(error) else "quotes")
                continue
            if row:
                yield _csv_record(header, row)


def _once(path: Path, names: Sequence[str]) -> None:
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise FileUnreadable(f"{path}: two columns have the name {doubled!r}; give each its own")


def _csv_record(header: list[str], row: list[str]) -> Record | Unreadable:
    if len(row) != len(header):
        return Unreadable("columns")
    if not _is_text("".join(row)):
        return Unreadable("encoding")
    return dict(zip(header, row, strict=True))


def _is_text(text: str) -> bool:
    """Whether every byte of a text was UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parquet(path: Path) -> Iterator[Record | Unreadable]:
    from pyarrow import ArrowException, parquet  # noqa: PLC0415 - 0.1 s

    try:
        with parquet.ParquetFile(path) as file:
            _once(path, file.schema_arrow.names)
            for batch in file.iter_batches(1000):
                yield from from_arrow(batch)
    except ArrowException as error:
        raise FileUnreadable(f"{path}: {error}; write the Parquet file again") from error


def _arrow(path: Path) -> Iterator[Record | Unreadable]:
    import pyarrow as pa  # noqa: PLC0415 - 0.1 s

    with pa.memory_map(str(path)) as file:
        try:
            batches: Any = pa.ipc.open_stream(file)
        except pa.ArrowInvalid:
            file.seek(0)
            opened = pa.ipc.open_file(file)
            batches = (opened.get_batch(at) for at in range(opened.num_record_batches))
            _once(path, opened.schema.names)
        else:
            _once(path, batches.schema.names)
        for batch in batches:
            yield from from_arrow(batch)


def from_arrow(batch: Any) -> Iterator[Record | Unreadable]:
    """The records of a batch: single precision by its shortest spelling, and values that cannot be read by row."""
    columns = {name: _values(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    for at in range(batch.num_rows):
        row = {name: values[at] for name, values in columns.items()}
        bad = next((value for value in row.values() if isinstance(value, Unreadable)), None)
        yield bad or row


def _values(column: Any) -> list[Any]:
    """The values of a column; in place of one that Python cannot hold, why."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        single = np.float32 if pa.types.is_float32(kind) else np.float16
        values = column.to_pylist()
        return [None if v is None or math.isnan(v) else Number(str(single(v))) for v in values]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        binary = pa.large_binary() if pa.types.is_large_string(kind) else pa.binary()
        return [_decoded(value) for value in column.cast(binary).to_pylist()]
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError):  # text that is no UTF-8 within a list, a date before the year 1
        return [_one(value) for value in column]
    return list(values)


def _one(value: Any) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return Unreadable("encoding")
    except (ValueError, OverflowError):
        return Unreadable("not_text")


def _decoded(value: bytes | None) -> str | Unreadable | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return Unreadable("encoding")


def _folder(path: Path) -> Iterator[Record | Unreadable]:
    """A data set of `save_to_disk`, or the data files of a folder, or of its folder `data`, by their names.

    Raises `FileUnreadable` for a folder of several splits.
    """
    if (path / "dataset_dict.json").is_file():
        splits = json.loads((path / "dataset_dict.json").read_text()).get("splits", [])
        raise _several(path, splits or ["train"])
    if (path / "state.json").is_file():
        files = [path / entry["filename"] for entry in json.loads((path / "state.json").read_text())["_data_files"]]
    else:
        places = (place for place in (path, path / "data") if place.is_dir())
        files = next((found for place in places if (found := [f for f in sorted(place.iterdir()) if _is_data(f)])), [])
        if len({_split(file) for file in files} - {None}) > 1:
            raise _several(path, [file.relative_to(path).as_posix() for file in files])
    if not files:
        raise FileUnreadable(f"{path}: no data file lies in it; use {', '.join(SUFFIXES)}")
    for file in files:
        yield from records(file)


def _several(path: Path, names: Sequence[str]) -> FileUnreadable:
    return FileUnreadable(f"{path}: it holds several splits ({', '.join(names)}); name one, as {path.name}/{names[0]}")


def _split(file: Path) -> str | None:
    """The split that a file's name begins with."""
    return next((split for split in SPLITS if file.name.lower().startswith(split)), None)


ABOUT = ("dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json")
"""Files of `datasets` that hold no records."""


def _is_data(file: Path) -> bool:
    suffix = Path(file.stem).suffix if file.suffix in COMPRESSED else file.suffix
    return file.is_file() and suffix.lower() in SUFFIXES and file.name not in ABOUT


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, or over the names and contents of a folder's files."""
    import hashlib  # noqa: PLC0415

    total = hashlib.sha256()
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    for file in files:
        if path.is_dir():
            total.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as opened:
            total.update(hashlib.file_digest(opened, "sha256").digest())
    return total.hexdigest()
