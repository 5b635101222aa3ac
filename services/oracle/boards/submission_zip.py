"""The submission: a zip with a PEFT adapter's two files at its root, checked before a query is spent on it.

Equal adapters give equal bytes, so a board can tell a repetition from another submission. The base model enters with
an adapter of zeros: no target needs a second way in for it.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
NAMES = (CONFIG, WEIGHTS)
"""The files of a submission."""
PACKAGE = "submission.zip"

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a zip: what is equal must not differ by when it was packed."""


class AdapterUnfit(Exception):
    """The adapter is none that the target takes."""


@dataclass(frozen=True)
class Limits:
    """What a target takes."""

    rank: int | None = None
    """Highest LoRA rank; None for any."""
    size: int | None = None
    """Largest zip in bytes; None for any."""


def pack(adapter: Path | None, base: Path, module: str, limits: Limits, folder: Path) -> Path:
    """The submission of an adapter, or of the base where there is none; raises `AdapterUnfit`."""
    if adapter is None:
        adapter = folder / "zeros"
        zeros(base, module, adapter)
    check(adapter, limits)
    package = folder / PACKAGE
    with zipfile.ZipFile(package, "w", zipfile.ZIP_STORED) as archive:
        for name in NAMES:
            add(archive, adapter / name)
    check_size(package, limits)
    return package


def add(archive: zipfile.ZipFile, file: Path) -> None:
    """Put a file at the root, byte by byte as it is."""
    entry = zipfile.ZipInfo(file.name, EPOCH)
    entry.file_size, entry.external_attr = file.stat().st_size, 0o644 << 16
    with file.open("rb") as source, archive.open(entry, "w") as place:
        shutil.copyfileobj(source, place, 2**20)


def check_size(package: Path, limits: Limits) -> None:
    """Raise `AdapterUnfit` for a zip that is too large."""
    size = package.stat().st_size
    if limits.size is not None and size > limits.size:
        raise AdapterUnfit(f"{PACKAGE}: {size} bytes; the target takes {limits.size}: lower rank or target_modules")


def check(adapter: Path, limits: Limits) -> None:
    """Raise `AdapterUnfit` unless the folder holds a LoRA adapter that is what its configuration says."""
    config, shapes = read_config(adapter / CONFIG), read_shapes(adapter / WEIGHTS)
    modules = config.get("target_modules")
    if not isinstance(modules, list) or not modules:
        raise AdapterUnfit(f"{CONFIG}: target_modules: {modules!r}; name at least one module, as a list")
    parts = [_parts(name) for name in shapes]
    strangers = sorted({module for module, _ in parts} - set(modules))
    if strangers:
        raise AdapterUnfit(f"{WEIGHTS}: {strangers[0]!r} is not in target_modules {modules}; train the adapter again")
    if missing := sorted(set(modules) - {module for module, _ in parts}):
        raise AdapterUnfit(f"{CONFIG}: target_modules: {missing[0]!r} has no weights in {WEIGHTS}; leave it out")
    check_rank(config, shapes, limits)


def check_rank(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], limits: Limits) -> None:
    """Raise `AdapterUnfit` where the weights have another rank than `r`, or the target takes no such rank."""
    rank = config.get("r")
    if not isinstance(rank, int) or rank < 1:
        raise AdapterUnfit(f"{CONFIG}: r: {rank!r}; give the rank, 1 or more")
    if limits.rank is not None and rank > limits.rank:
        raise AdapterUnfit(f"{CONFIG}: r: {rank}; the target takes {limits.rank} at most: train with a lower rank")
    for name, shape in shapes.items():
        if len(shape) != 2 or shape[_parts(name)[1] == "lora_B"] != rank:
            raise AdapterUnfit(f"{WEIGHTS}: {name!r} has the shape {list(shape)}, r is {rank}; train the adapter again")


def read_config(file: Path) -> dict[str, Any]:
    """An adapter's configuration. Raises `AdapterUnfit`."""
    try:
        config = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise AdapterUnfit(f"{file.name} is missing in {file.parent}; give the folder of a PEFT adapter") from None
    except ValueError:
        raise AdapterUnfit(f"{file.name} in {file.parent} is no JSON; train the adapter again") from None
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind != "LORA":
        raise AdapterUnfit(f"{file.name}: peft_type: {kind!r}; only LORA can be submitted")
    return config  # type: ignore[no-any-return]  # a dict, as peft_type shows


def read_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights. Raises `AdapterUnfit` for a file that safetensors does not load."""
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415 - with the extra that measures

    if not file.is_file():
        raise AdapterUnfit(f"{file.name} is missing in {file.parent}; give the folder of a PEFT adapter")
    try:
        with safe_open(file, framework="numpy") as weights:
            return {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    except SafetensorError:
        raise AdapterUnfit(f"{file.name} in {file.parent} is no safetensors file; train the adapter again") from None


def _parts(name: str) -> tuple[str, str]:
    """Module and matrix of a weight: `...layers.0.self_attn.q_proj.lora_A.weight` is (`q_proj`, `lora_A`)."""
    *_, module, matrix, _ = ["", "", *name.split(".")]
    if matrix not in ("lora_A", "lora_B"):
        raise AdapterUnfit(f"{WEIGHTS}: {name!r} is neither lora_A nor lora_B; only plain LoRA can be submitted")
    return module, matrix


def zeros(base: Path, module: str, folder: Path) -> None:
    """Write an adapter of rank 1 that changes nothing, on every such module of the base."""
    import numpy as np  # noqa: PLC0415
    from safetensors.numpy import save_file  # noqa: PLC0415

    weights = {}
    for name, (out, in_) in _matrices(base, module):
        weights[f"base_model.model.{name}.lora_A.weight"] = np.zeros((1, in_), np.float32)
        weights[f"base_model.model.{name}.lora_B.weight"] = np.zeros((out, 1), np.float32)
    if not weights:
        raise AdapterUnfit(f"base model {base}: no safetensors file has a weight of {module!r}; name one that is there")
    folder.mkdir(parents=True)
    save_file(dict(sorted(weights.items())), folder / WEIGHTS)
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 1, "lora_alpha": 1, "target_modules": [module]}
    (folder / CONFIG).write_text(json.dumps({**config, "inference_mode": True}, sort_keys=True))


def _matrices(base: Path, module: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    for file in sorted(base.glob("*.safetensors")):
        for name, shape in read_shapes(file).items():
            if name.endswith(f".{module}.weight") and len(shape) == 2:
                yield name.removesuffix(".weight"), shape
