"""What a training has left, before a library reads it: the trainer writes such folders, other services load them.

A folder's hash covers what lies in it, and its weights are safetensors: nothing else may be read with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from services.runtime.storage.hashing import irregular
from services.runtime.storage.model_folders import INDEX, ModelDamaged, check_weights, read_object, refuse_pickles

ELSEWHERE = ("arrow_config", "corda_config", "eva_config", "layer_replication", "megatron_config")
"""Fields of a LoRA's configuration with which PEFT reads other files, loads other modules or builds another model."""


class AdapterMissing(Exception):
    """The candidate's adapter is not there."""


class AdapterUnsafe(Exception):
    """The candidate's weights are no safetensors of its own folder: reading them might run code or read other files."""


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
        _check_config(folder / "adapter_config.json")
        return "lora"
    if (folder / "config.json").is_file():
        _check(folder, "*.safetensors")
        _check_shards(folder)
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


def _check_config(file: Path) -> None:
    """Raise `AdapterUnsafe` unless the file describes a LoRA that lies in its own folder: only that has been hashed."""
    try:
        config = read_object(file)
    except ModelDamaged as damaged:
        raise AdapterUnsafe(f"adapter {file.parent}: {file.name} is damaged; train the candidate again") from damaged
    kind = config.get("peft_type", "LORA")
    if kind != "LORA":
        raise AdapterUnsafe(f"adapter {file.parent}: its peft_type is {kind!r:.100}; only LORA is measured")
    if foreign := [field for field in ELSEWHERE if config.get(field)]:
        raise AdapterUnsafe(f"adapter {file.parent}: it sets {foreign[0]}, which no training does; train it again")


def _check_shards(folder: Path) -> None:
    """Raise `AdapterUnsafe` where the index of a checkpoint names files that are not in its folder, or none is read."""
    if not ((folder / "model.safetensors").is_file() or (folder / INDEX).is_file()):
        raise AdapterUnsafe(f"checkpoint {folder}: no library reads its weights by their names; train it again")
    try:
        check_weights(folder)
    except ModelDamaged as damaged:
        reason = str(damaged).removeprefix("model.base: ")
        raise AdapterUnsafe(f"checkpoint {folder}: {reason}") from damaged


def _read_header(file: Path) -> None:
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415 - for jobs alone

    try:
        with safe_open(file, framework="numpy") as weights:
            weights.keys()
    except SafetensorError as error:
        raise AdapterUnsafe(
            f"adapter {file.parent}: {file.name} is no safetensors file, whatever its name; train it again"
        ) from error
