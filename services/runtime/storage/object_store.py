"""A store of objects that fsspec reaches: `s3://bucket/prefix`, or any other address that it knows.

fsspec and the library of an address are imported where an address names them: a folder needs neither. Endpoint and
credentials are those that the library reads, such as `AWS_ENDPOINT_URL` and `AWS_SHARED_CREDENTIALS_FILE`.
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
"""Scheme -> the module behind it, where an extra of ours brings it."""

PATIENCE_SECONDS = 300.0
"""How long a job waits for a store that does not answer, before its try fails: a restart takes less."""

PAUSE_SECONDS = 1.0
"""Between two questions to a store that does not answer."""


class StoreFailed(Exception):
    """A store of objects gives no answer; its text names the address and the remedy."""

    def __init__(self, url: str, words: str) -> None:
        super().__init__(f"{url}: {words}")
        self.words = words


class StoreUnreachable(StoreFailed):
    """It does not answer now."""


class StoreDenied(StoreFailed):
    """It refuses us."""


class StoreUnknown(StoreFailed):
    """No library here can ask it."""


def is_url(place: str) -> bool:
    """Whether a place is an address of a store, not a path."""
    return "://" in place


def library(place: str) -> tuple[str, ...]:
    """What a process that asks the store often may import beforehand."""
    scheme, _, rest = place.partition("://")
    return (LIBRARIES[scheme],) if rest and scheme in LIBRARIES else ()


def knock(place: str) -> None:
    """Raise `BadSetting` where the artifacts' store cannot be asked."""
    try:
        if is_url(place) and not has_bucket(place):
            raise BadSetting("artifacts", place, "there is no such bucket; make it first")
    except StoreFailed as failed:
        raise BadSetting("artifacts", place, failed.words) from failed


def has_bucket(url: str) -> bool:
    """Whether the bucket of an address is there; below it nothing need be, and nothing be allowed."""
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
    """Write an object, which appears whole."""
    _put(url, lambda system, path: system.pipe_file(path, data))


def download(url: str, place: Path) -> None:
    """Copy an object, or all that lie below it as a folder, to a place that is not there yet.

    Raises `FileNotFoundError` where there is neither.
    """
    here: list[tuple[str, Path]] = ask(
        url, lambda system, path: [(n, _below(path, n, place)) for n in system.find(path)]
    )
    if not here:
        raise FileNotFoundError(f"{url} is not there")
    for name, file in here:
        file.parent.mkdir(parents=True, exist_ok=True)
        ask(url, lambda system, _, name=name, file=file: system.get_file(name, str(file)))


def _below(path: str, name: str, place: Path) -> Path:
    """Where a file of a folder is copied to: below the place, whatever the store calls it."""
    parts = PurePosixPath(name).relative_to(path.rstrip("/")).parts
    return place.joinpath(*(part for part in parts if part != ".."))


def upload(place: Path, url: str) -> None:
    """Copy a file, or a folder's files. Each object appears whole, and all are there when this returns."""
    for file in [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file()):
        name = "" if file == place else f"/{file.relative_to(place).as_posix()}"
        _put(f"{url}{name}", lambda system, path, file=file: system.put_file(str(file), path))


def _put(url: str, question: Callable[..., object]) -> None:
    try:
        ask(url, question)
    except FileNotFoundError as error:
        raise StoreDenied(url, "there is no such bucket; make it, or correct AEVOLVE_ARTIFACTS") from error


def outlasting(act: Callable[[], Answer]) -> Answer:
    """What a job asks, asked again while the store does not answer. Raises `StoreUnreachable` in the end."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return act()
        except StoreUnreachable as error:
            if time.monotonic() >= end:
                raise
            log.warning("waiting for the artifacts: %s", error)
        time.sleep(PAUSE_SECONDS)


def ask(url: str, question: Callable[..., Answer]) -> Answer:
    """What a store answers to a question of its file system and the path there.

    Raises `FileNotFoundError`, `StoreDenied`, `StoreUnreachable`, or `StoreUnknown`.
    """
    system, path = _opened(url)
    try:
        return question(system, path)
    except FileNotFoundError:
        raise
    except PermissionError as error:
        raise StoreDenied(url, f"the store refuses us ({error}); mend the credentials, or what they may do") from error
    except Exception as error:
        words = f"the store does not answer ({type(error).__name__}: {error}); mend it, its address or our credentials"
        raise StoreUnreachable(url, words) from error


def _opened(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415 - comes with an extra

        system, path = url_to_fs(url, use_listings_cache=False)  # others write there too
    except (ImportError, ValueError) as error:
        words = f"no library here asks it ({error}); for s3:// pip install 'aevolve[s3]', else what fsspec names"
        raise StoreUnknown(url, words) from error
    return system, str(path)
