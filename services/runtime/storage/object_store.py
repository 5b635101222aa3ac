"""An object store that fsspec can reach: `s3://bucket/prefix`, or any other address that fsspec knows.

fsspec and the library of a scheme are imported only when an address needs them; a folder needs neither. The library
reads endpoint and credentials itself, for example from `AWS_ENDPOINT_URL` and `AWS_SHARED_CREDENTIALS_FILE`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from services.runtime.settings import BadSetting

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

LIBRARIES = {"s3": "s3fs"}
"""Scheme -> the module that serves it, where one of our extras installs it."""

NO_STORES = ("file", "local", "http", "https", "ftp", "sftp", "ssh", "github", "git", "data", "jupyter", "smb")
"""Schemes that fsspec knows and artifacts never have: an event that names one would have a service read its own files,
or ask other servers."""

TIMEOUT_SECONDS = 300.0
"""How long a job retries a store that does not answer, before the attempt fails: a restart takes less."""

LONGEST_URL = 500
"""Characters of a refused address that an error repeats."""

PAUSE_SECONDS = 1.0
"""Pause between two retries."""


class StoreFailed(Exception):
    """An object store gives no answer; the text names the address and the remedy."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{url}: {problem}")
        self.problem = problem


class StoreUnreachable(StoreFailed):
    """The store does not answer now."""


class StoreDenied(StoreFailed):
    """The store denies access."""


class StoreUnknown(StoreFailed):
    """No library for this address is installed."""


def is_url(place: str) -> bool:
    """Whether a place is a store's address, not a path."""
    return "://" in place


def preload_modules(place: str) -> tuple[str, ...]:
    """Modules that a process may import in advance, if it uses the store often."""
    scheme, _, rest = place.partition("://")
    return (LIBRARIES[scheme],) if rest and scheme in LIBRARIES else ()


def check_store(place: str) -> None:
    """Raise `BadSetting` if the artifacts' store cannot be used."""
    try:
        if is_url(place) and not has_bucket(place):
            raise BadSetting("artifacts", place, "there is no such bucket; make it first")
    except StoreFailed as failed:
        raise BadSetting("artifacts", place, failed.problem) from failed


def has_bucket(url: str) -> bool:
    """Whether the bucket of an address exists; nothing need exist or be allowed below it."""
    try:
        ask(url, lambda system, path: system.info(path.split("/")[0] or "/"))
    except FileNotFoundError:
        return False
    return True


def exists(url: str) -> bool:
    """Whether there is such an object."""
    return ask(url, lambda system, path: bool(system.exists(path)))


def read(url: str) -> bytes:
    """An object's bytes. Raises `FileNotFoundError`."""
    return ask(url, lambda system, path: bytes(system.cat_file(path)))


def write(url: str, data: bytes) -> None:
    """Write an object; it appears whole."""
    _put(url, lambda system, path: system.pipe_file(path, data))


def download(url: str, place: Path) -> None:
    """Copy an object, or all objects below the address as a folder, to a path that does not exist yet.

    Raises `FileNotFoundError` if there is neither.
    """
    copies: list[tuple[str, Path]] = ask(
        url, lambda system, path: [(n, _below(path, n, place)) for n in system.find(path)]
    )
    if not copies:
        raise FileNotFoundError(f"{url} does not exist")
    for name, file in copies:
        file.parent.mkdir(parents=True, exist_ok=True)
        ask(url, lambda system, _, name=name, file=file: system.get_file(name, str(file)))


def _below(path: str, name: str, place: Path) -> Path:
    """Where a file of a folder is copied to: always below the place, whatever its name in the store."""
    parts = PurePosixPath(name).relative_to(path.rstrip("/")).parts
    return place.joinpath(*(part for part in parts if part != ".."))


def upload(place: Path, url: str) -> None:
    """Copy a file, or a folder's files. Each object appears whole, and all are there when this returns."""
    for file in [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file()):
        name = "" if file == place else f"/{file.relative_to(place).as_posix()}"
        _put(f"{url}{name}", lambda system, path, file=file: system.put_file(str(file), path))


def _put(url: str, operation: Callable[..., object]) -> None:
    try:
        ask(url, operation)
    except FileNotFoundError as error:
        raise StoreDenied(url, "there is no such bucket; make it, or correct AEVOLVE_ARTIFACTS") from error


def retry_while_unreachable(act: Callable[[], Answer]) -> Answer:
    """The result of an act, retried while the store does not answer. Raises `StoreUnreachable` in the end."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            return act()
        except StoreUnreachable as error:
            if time.monotonic() >= end:
                raise
            log.warning("waiting for the artifacts: %s", error)
        time.sleep(PAUSE_SECONDS)


def ask(url: str, operation: Callable[..., Answer]) -> Answer:
    """The result of an operation on the store's file system and the path there.

    Raises `FileNotFoundError`, `StoreDenied`, `StoreUnreachable`, or `StoreUnknown`.
    """
    system, path = _open(url)
    try:
        return operation(system, path)
    except FileNotFoundError:
        raise
    except PermissionError as error:
        raise StoreDenied(url, f"the store denies access ({error}); correct the credentials or their rights") from error
    except Exception as error:
        problem = (
            f"the store does not answer ({type(error).__name__}: {error}); check it, its address and the credentials"
        )
        raise StoreUnreachable(url, problem) from error


def _open(url: str) -> tuple[Any, str]:
    if "::" in url or url.partition("://")[0].lower() in NO_STORES:
        raise StoreUnknown(
            url[:LONGEST_URL], "artifacts lie in no such store; name a folder, or a bucket as s3://BUCKET"
        )
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415 - comes with an extra

        system, path = url_to_fs(url, use_listings_cache=False)  # others write there too
    except (ImportError, ValueError) as error:
        problem = f"no library for it is installed ({error}); for s3:// pip install 'aevolve[s3]', else see fsspec"
        raise StoreUnknown(url, problem) from error
    return system, str(path)
