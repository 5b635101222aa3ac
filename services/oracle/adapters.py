"""A candidate's adapter as it was trained, or none: what the oracle measures and sends must be what the log names."""

from __future__ import annotations

from pathlib import Path

from services.runtime import artifacts
from services.runtime.hashing import hash_folder
from services.runtime.models import refuse_pickles


class AdapterChanged(Exception):
    """The adapter is not the one that was trained."""


def adapter(uri: str | None, sha256: str | None, copies: Path) -> Path | None:
    """The adapter's folder here, None for the base. Raises `AdapterChanged`, `PickledWeights`, or `StoreFailed`."""
    if uri is None:
        return None
    try:
        folder = artifacts.fetch(uri, sha256, hash_folder, copies)
        found = hash_folder(folder)
    except (FileNotFoundError, NotADirectoryError):
        found = "missing"
    except artifacts.ArtifactChanged as changed:
        found = changed.found
    if found != sha256:
        raise AdapterChanged(f"adapter {uri}: its hash is {found}, the trainer recorded {sha256}; train it again")
    refuse_pickles(folder)
    return folder
