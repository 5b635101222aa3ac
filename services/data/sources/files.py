"""Local files: JSON lines, Parquet and texts, each read on from where the last round ended.

What a file's bytes are decides whether it is new, never its date: a file that is copied or touched is not read again.
A file that cannot be read on is left alone, with what it gave before, until it changes.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pyarrow import ArrowException

from schemas.sources import FilesSource
from services.data.sources import jsonl
from services.data.sources import parquet as table
from services.data.sources.lines import BROKEN, key
from services.data.sources.refusal import Refused
from services.data.sources.rows import Found, now, plain, sha256
from services.data.sources.source import SourceFailed, State, Step


class Files:
    """A source of local files. State: by path, how far it was read."""

    def __init__(self, spec: FilesSource, round_: int, seed: int) -> None:
        self.name = spec.name
        self._spec = spec

    def harvest(self, state: State) -> Iterator[Step]:
        """What the files have besides the state's. Raises `SourceFailed` where there is no file at all."""
        for path in matches(self._spec.name, self._spec.paths):
            if (reader := _reader(path)) is None:
                yield Step(skipped={"format": 1})
            else:
                yield from self._file(path, reader, state)

    def _file(self, path: Path, reader: Reader, state: State) -> Iterator[Step]:
        """One file's steps; where it fails, this is remembered behind what it gave."""
        known = state.get(key(path), {})
        try:
            if known.get("given_up") == _stamp(path):
                return
            yield from reader(self._spec, path, known)
        except Refused as refusal:
            yield _give_up(path, state, refusal.reason)
        except FileNotFoundError:
            yield Step(skipped={"missing": 1})
        except (*BROKEN, ArrowException):
            yield _give_up(path, state, "broken")


Reader = Callable[[FilesSource, Path, Mapping[str, Any]], Iterator[Step]]
"""How a kind of file is read, from what is known of it."""


def matches(name: str, patterns: tuple[str, ...]) -> list[Path]:
    """Files that the patterns name, in order; a name without pattern is one, whether it is there or not.

    Raises `SourceFailed` where nothing is there.
    """
    found = [path for pattern in patterns for path in _matches(pattern)]
    files = [path for path in dict.fromkeys(found) if path.is_file() or not path.exists()]
    if not any(path.is_file() for path in files):
        raise SourceFailed(
            f"data.sources: {name}: paths {list(patterns)} name no file; check them, and where they start"
        )
    return files


def _matches(pattern: str) -> list[Path]:
    if not glob.has_magic(pattern):
        return [Path(pattern)]
    return [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - a pattern may be absolute


def _text(spec: FilesSource, path: Path, known: Mapping[str, Any]) -> Iterator[Step]:
    """A whole file as one row."""
    with path.open("rb") as file:
        data = file.read(spec.max_bytes + 1)
    if len(data) > spec.max_bytes:
        raise Refused("too_long")
    if known.get("sha256") == (found := sha256(data)):
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("encoding") from error
    yield Step((plain(spec, text, Found(str(path), found, now())),), {key(path): {"sha256": found}})


READERS: dict[str, Reader] = {
    ".jsonl": jsonl.harvest,
    ".jsonl.gz": jsonl.harvest,
    ".jsonl.zst": jsonl.harvest,
    ".parquet": table.harvest,
    ".txt": _text,
    ".md": _text,
}
"""Reader by ending."""


def _reader(path: Path) -> Reader | None:
    return next((reader for ending, reader in READERS.items() if path.name.endswith(ending)), None)


def _give_up(path: Path, state: State, reason: str) -> Step:
    known = {**state.get(key(path), {}), "given_up": _stamp(path)}
    return Step(remember={key(path): known}, skipped={reason: 1})


def _stamp(path: Path) -> list[int]:
    about = path.stat()
    return [about.st_size, about.st_mtime_ns]
