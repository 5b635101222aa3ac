"""Fetches a candidate's weights and checks them: weights that are measured or submitted must have the recorded hash."""

from __future__ import annotations

from pathlib import Path

from services.runtime.storage import artifacts
from services.runtime.storage.hashing import hash_folder, irregular


class AdapterChanged(Exception):
    """The adapter is not the one that was trained."""


def adapter(uri: str | None, sha256: str | None, copies: Path) -> Path | None:
    """The adapter's folder here, None for the base. Raises `AdapterChanged`, or `StoreFailed`."""
    if uri is None:
        return None
    try:
        folder = artifacts.fetch(uri, sha256, hash_folder, copies)
        actual = (
            f"unknown, {entry.name} is a link, FIFO or device" if (entry := irregular(folder)) else hash_folder(folder)
        )
    except (FileNotFoundError, NotADirectoryError):
        actual = "missing"
    except artifacts.ArtifactChanged as changed:
        actual = changed.actual
    if actual != sha256:
        raise AdapterChanged(f"adapter {uri}: its hash is {actual}, the trainer recorded {sha256}; train it again")
    return folder
