"""Artifacts lie in a folder that every service sees, or in a store of objects: here alone is it known which.

An artifact appears whole or not at all, before an event names it, and never changes then. In a folder that is a rename,
and a job reads where it lies. From a store a job takes a copy, whose hash must be the recorded one.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from services.runtime.storage import object_store
from services.runtime.storage.object_store import is_url, outlasting

KEPT = 16
"""Copies that a machine keeps: the snapshot of a round is asked for by each of its jobs, an adapter once per set."""

READ_SECONDS = 3600.0
"""A copy used within so long may still be being read."""


class ArtifactChanged(Exception):
    """An artifact is not what the log names."""

    def __init__(self, uri: str, found: str, sha256: str | None) -> None:
        super().__init__(
            f"{uri}: its hash is {found}, recorded is {sha256}; restore it from a backup, or make it again"
        )
        self.found = found


def join(store: str, *names: str) -> str:
    """A place below another."""
    return "/".join((store.rstrip("/"), *names)) if is_url(store) else str(Path(store, *names))


def exists(uri: str) -> bool:
    """Whether there is such an artifact. Raises `StoreFailed` where its store gives no answer."""
    return object_store.exists(uri) if is_url(uri) else Path(uri).exists()


def read(uri: str) -> bytes:
    """The bytes of a file. Raises `FileNotFoundError`, or `StoreFailed`."""
    return object_store.read(uri) if is_url(uri) else Path(uri).read_bytes()


@contextmanager
def here(uri: str) -> Iterator[Path]:
    """An artifact as files of this machine, for as long as the context lasts; nothing is checked.

    Raises `FileNotFoundError` or `StoreFailed` where it cannot be copied.
    """
    if not is_url(uri):
        yield Path(uri)
        return
    with tempfile.TemporaryDirectory() as folder:
        object_store.download(uri, copy := Path(folder) / "copy")
        yield copy


@contextmanager
def writing(uri: str, scratch: Path) -> Iterator[Path]:
    """A place for a job's file or folder, which appears at `uri` when the context ends well.

    What lies in a folder under this name is replaced. Into a store it is copied, from below `scratch`.
    """
    if not is_url(uri):
        with _appearing(Path(uri)) as part:
            yield part
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        yield (part := Path(folder) / "part")
        outlasting(lambda: object_store.upload(part, uri))


def keep(uri: str, make: Callable[[], bytes]) -> None:
    """Write what is named by its content, where it is not there already."""
    if is_url(uri):
        if not outlasting(lambda: object_store.exists(uri)):
            data = make()
            outlasting(lambda: object_store.write(uri, data))
    elif not Path(uri).exists():
        with _appearing(Path(uri)) as part:
            part.write_bytes(make())


def put(file: Path, uri: str) -> None:
    """Copy a file to the place that is named by its content, where it is not there already."""
    if is_url(uri):
        if not outlasting(lambda: object_store.exists(uri)):
            outlasting(lambda: object_store.upload(file, uri))
    elif not Path(uri).exists():
        with _appearing(Path(uri)) as part:
            shutil.copyfile(file, part)


@contextmanager
def _appearing(place: Path) -> Iterator[Path]:
    """A name of this writer's own, renamed in the end: two may write what bears the same hash at the same time."""
    part = place.with_name(f"{place.name}.{uuid4().hex}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        if place.is_dir():
            shutil.rmtree(place)
        part.rename(place)
    finally:
        _remove(part)


def fetch(uri: str, sha256: str | None, hashed: Callable[[Path], str], copies: Path) -> Path:
    """Where a job reads an artifact: as it lies, or as a copy from its store with the recorded hash.

    Raises `FileNotFoundError`, `ArtifactChanged`, or `StoreFailed` where the store gives no answer for long.
    """
    if not is_url(uri):
        return Path(uri)
    copy = copies / str(sha256)
    if _hash(copy, hashed) != sha256:
        _remove(copy)
        _copy(uri, copy, sha256, hashed)
    copy.touch()
    _discard_old(copies)
    return copy


def _copy(uri: str, copy: Path, sha256: str | None, hashed: Callable[[Path], str]) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=copy.parent) as folder:
        part = Path(folder) / "part"
        outlasting(lambda: object_store.download(uri, part))
        if (found := _hash(part, hashed)) != sha256:
            raise ArtifactChanged(uri, found, sha256)
        with contextlib.suppress(OSError):  # another job was quicker: a folder is not renamed onto a full one
            part.rename(copy)


def _hash(place: Path, hashed: Callable[[Path], str]) -> str:
    try:
        return hashed(place)
    except OSError:  # it is not there, or is no Parquet
        return "none"


def _discard_old(copies: Path) -> None:
    """Remove what was used long ago, beyond the copies that are kept; also what a killed job left."""
    with contextlib.suppress(FileNotFoundError):  # another job discards, too
        ages = sorted((time.time() - copy.stat().st_mtime, copy) for copy in copies.iterdir())
        for age, copy in ages[KEPT:]:
            if age > READ_SECONDS:
                _remove(copy)


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)
