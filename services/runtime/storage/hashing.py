"""SHA-256 of artifacts and of code, over their content and never their place or time."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from schemas.base import canonical_json

SOURCES = (".py", ".sql", ".yaml")
"""Suffixes of the files that define a package's behaviour."""

UNHASHED = frozenset({"fetched_at"})
"""Columns left out of a row's hash: the same rows fetched on another day are the same snapshot."""

BATCH = 500
"""Rows of a snapshot in memory at a time."""


def hash_file(path: Path) -> str:
    """SHA-256 (hexadecimal) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(path: Path) -> str:
    """SHA-256 over the names and contents of all files below a folder, sorted by name.

    Raises `NotADirectoryError` if the folder does not exist.
    """
    if not path.is_dir():
        raise NotADirectoryError(f"folder {path} does not exist; check the path")
    return _combine((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())


def irregular(folder: Path) -> Path | None:
    """The first entry at or below a path that is neither a folder nor a regular file, or None; no link is followed.

    Reading a FIFO or a device may never end, and a link may lead to any file of whoever reads it.
    """
    if stat.S_ISLNK(os.lstat(folder).st_mode):
        return folder
    for place, folders, names in os.walk(folder):
        for name in sorted((*folders, *names)):
            mode = os.lstat(entry := Path(place, name)).st_mode
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                return entry
    return None


def hash_rows(rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 over the canonical JSON of rows, a line each, without `UNHASHED`. Holds one row in memory."""
    hashed = hashlib.sha256()
    for row in rows:
        hashed.update(f"{canonical_json({name: row[name] for name in row if name not in UNHASHED})}\n".encode())
    return hashed.hexdigest()


def hash_parquet(path: Path) -> str:
    """`hash_rows` of a snapshot: the bytes of the file differ between versions of pyarrow.

    Raises `OSError` if the file cannot be read or is not Parquet.
    """
    from pyarrow import ArrowException, parquet  # noqa: PLC0415 - takes a second to load

    try:
        batches = parquet.ParquetFile(path).iter_batches(BATCH)
        return hash_rows(row for batch in batches for row in batch.to_pylist())
    except ArrowException as error:
        raise OSError(str(error)) from error


def hash_source(*names: str) -> str:
    """SHA-256 over the source files of modules and packages, given by dotted name; none is executed.

    Raises `ModuleNotFoundError` for a name that is neither.
    """
    return _combine(pair for name in names for pair in _sources(name))


def _combine(files: Iterable[tuple[str, Path]]) -> str:
    lines = (f"{hash_file(file)}  {name}\n" for name, file in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sources(name: str) -> list[tuple[str, Path]]:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"module {name!r} has no source here; check its name and the installation")
    origin = Path(spec.origin)
    if spec.submodule_search_locations is None:
        return [(f"{name}{origin.suffix}", origin)]
    files = (file for file in origin.parent.rglob("*") if file.suffix in SOURCES)
    return [(f"{name}/{file.relative_to(origin.parent).as_posix()}", file) for file in files]
