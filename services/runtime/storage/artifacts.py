"""Artifacts are files in a shared folder or in an object store; only this module knows which.

An artifact appears whole or not at all, before an event names it, and never changes afterwards. In a folder it appears
by a rename and is read in place. From a store a job reads a local copy, whose hash must be the recorded one.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from services.runtime.storage import object_store
from services.runtime.storage.object_store import is_url, retry_while_unreachable

MAX_COPIES = 16
"""Local copies kept: each job of a round reads the round's snapshot, and each set is measured with one adapter."""

IN_USE_SECONDS = 3600.0
"""A copy used within this time may still be in use."""

LONGEST_NAME = 500
"""Characters of a path that an error repeats."""


class ArtifactChanged(Exception):
    """An artifact differs from the hash in the log."""

    def __init__(self, uri: str, actual: str, sha256: str | None) -> None:
        super().__init__(
            f"{uri}: its hash is {actual}, recorded is {sha256}; restore it from a backup, or make it again"
        )
        self.actual = actual


def join(store: str, *names: str) -> str:
    """An address or path below another."""
    return "/".join((store.rstrip("/"), *names)) if is_url(store) else str(Path(store, *names))


def exists(uri: str) -> bool:
    """Whether the artifact exists. Raises `StoreFailed` if its store gives no answer."""
    if is_url(uri):
        return object_store.exists(uri)
    try:
        return Path(uri).exists()
    except (OSError, ValueError):  # no path of this system, such as too long a name
        return False


def read(uri: str) -> bytes:
    """The bytes of a file. Raises `FileNotFoundError`, or `StoreFailed`."""
    return object_store.read(uri) if is_url(uri) else _local(uri).read_bytes()


def _local(uri: str) -> Path:
    """The path of an artifact that an event names. Raises `FileNotFoundError` for a FIFO or a device.

    Their reading may never end, and whoever has the password of the service that makes the artifacts may name them.
    """
    path = Path(uri)
    if not (exists(uri) and (path.is_file() or path.is_dir())):
        raise FileNotFoundError(errno.ENOENT, "no file or folder", uri[:LONGEST_NAME])
    return path


@contextmanager
def open_local(uri: str) -> Iterator[Path]:
    """An artifact as local files, for as long as the context lasts; its hash is not checked.

    Raises `FileNotFoundError` or `StoreFailed` if it cannot be copied.
    """
    if not is_url(uri):
        yield _local(uri)
        return
    with tempfile.TemporaryDirectory() as folder:
        object_store.download(uri, copy := Path(folder) / "copy")
        yield copy


@contextmanager
def create(uri: str, scratch: Path) -> Iterator[Path]:
    """A path for a job's file or folder, which appears at `uri` when the context ends without an error.

    A folder of this name is replaced. For a store the path lies below `scratch` and is uploaded.
    """
    if not is_url(uri):
        with _appearing(Path(uri)) as part:
            yield part
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        yield (part := Path(folder) / "part")
        retry_while_unreachable(lambda: object_store.upload(part, uri))


def write_once(uri: str, make: Callable[[], bytes]) -> None:
    """Write a file that is named by its content, unless it exists."""
    if is_url(uri):
        if not retry_while_unreachable(lambda: object_store.exists(uri)):
            data = make()
            retry_while_unreachable(lambda: object_store.write(uri, data))
    elif not Path(uri).exists():
        with _appearing(Path(uri)) as part:
            part.write_bytes(make())


def copy_once(file: Path, uri: str) -> None:
    """Copy a file to an address that is named by its content, unless it exists."""
    if is_url(uri):
        if not retry_while_unreachable(lambda: object_store.exists(uri)):
            retry_while_unreachable(lambda: object_store.upload(file, uri))
    elif not Path(uri).exists():
        with _appearing(Path(uri)) as part:
            shutil.copyfile(file, part)


@contextmanager
def _appearing(place: Path) -> Iterator[Path]:
    """A path of this writer's own, renamed at the end: two processes may write the same artifact at the same time."""
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
    """Where a job reads an artifact: in place, or as a local copy with the recorded hash.

    `hashed` computes the hash of a path. Raises `FileNotFoundError`, `ArtifactChanged`, or `StoreFailed` if the store
    does not answer in time.
    """
    if not is_url(uri):
        return _local(uri)
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
        retry_while_unreachable(lambda: object_store.download(uri, part))
        if (actual := _hash(part, hashed)) != sha256:
            raise ArtifactChanged(uri, actual, sha256)
        with contextlib.suppress(OSError):  # another job was faster: a folder cannot replace a full one
            part.rename(copy)


def _hash(place: Path, hashed: Callable[[Path], str]) -> str:
    try:
        return hashed(place)
    except OSError:  # it does not exist, or is not Parquet
        return "none"


def _discard_old(copies: Path) -> None:
    """Remove copies beyond `MAX_COPIES` that are no longer in use, and the remains of killed jobs."""
    with contextlib.suppress(FileNotFoundError):  # another job discards as well
        ages = sorted((time.time() - copy.stat().st_mtime, copy) for copy in copies.iterdir())
        for age, copy in ages[MAX_COPIES:]:
            if age > IN_USE_SECONDS:
                _remove(copy)


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)
