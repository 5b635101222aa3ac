"""Fetches a candidate's weights and checks them: weights that are measured or submitted must have the recorded hash."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from services.oracle.job import AdapterMissing, AdapterUnsafe
from services.runtime.storage import artifacts
from services.runtime.storage.hashing import hash_folder, irregular
from services.runtime.storage.model_folders import refuse_pickles


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


def form(folder: Path) -> Literal["lora", "full"]:
    """Whether a folder holds a LoRA adapter or a whole checkpoint; its weights have been seen to be safetensors.

    Raises `AdapterMissing`, `PickledWeights` or `AdapterUnsafe`; nothing is ever unpickled to find out, and no link,
    FIFO or device is opened.
    """
    if entry := irregular(folder):
        raise AdapterUnsafe(f"adapter {folder}: {entry.name} is a link, FIFO or device; train the candidate again")
    refuse_pickles(folder)
    if (folder / "adapter_config.json").is_file():
        _check(folder, "adapter_model.safetensors")
        return "lora"
    if (folder / "config.json").is_file():
        _check(folder, "*.safetensors")
        return "full"
    raise AdapterMissing(
        f"adapter: {str(folder)!r} holds no adapter_config.json, nor a checkpoint's config.json; train the candidate "
        "again"
    )


def _check(folder: Path, pattern: str) -> None:
    weights = sorted(folder.glob(pattern))
    if not weights:
        raise AdapterMissing(f"adapter {folder}: it holds no {pattern}; train the candidate again")
    for file in weights:
        _read_header(file)


def _read_header(file: Path) -> None:
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415 - for jobs alone

    try:
        with safe_open(file, framework="numpy") as weights:
            weights.keys()
    except SafetensorError as error:
        raise AdapterUnsafe(
            f"adapter {file.parent}: {file.name} is no safetensors file, whatever its name; train it again"
        ) from error
