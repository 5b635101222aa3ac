"""The base model that a campaign starts from, made once and stored in the cache if it is missing; and its hashes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from schemas.campaign import Model, Substrate
from services.console.embedded.supervisor import Child, Command
from services.runtime.storage.hashing import hash_folder
from services.runtime.storage.hub_models import HUB_ID, hub_folder
from services.runtime.storage.model_folders import ModelMissing, damage_named, model_config, weight_shapes
from services.runtime.substrate import code_sha256
from services.runtime.user_error import UserError
from services.trainer.tiny_base.make import base_key


def base_folder(model: Model, cache: Path) -> Path:
    """Where the model of a campaign lies, or will lie once it is made or fetched."""
    if model.base == "tiny":
        return cache / "bases" / base_key()
    if not (Path(model.base) / "config.json").is_file() and HUB_ID.fullmatch(model.base):
        return hub_folder(model.base, model.revision, cache)
    return Path(model.base).absolute()


def is_model(folder: Path) -> bool:
    """Whether the folder holds a model."""
    return (folder / "config.json").is_file()


def take_base(folder: Path, bases: Path | None) -> bool:
    """Copy the base from a folder of bases, if it is there; the copy is atomic.

    It is copied because campaigns continue with it after that folder, part of a container image, is replaced.
    """
    if bases is None or not is_model(bases / folder.name):
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        shutil.copytree(bases / folder.name, Path(scratch) / folder.name).rename(folder)
    return True


async def make_base(folder: Path, log: Path) -> None:
    """Make the tiny base in a child process. Raises `UserError` with the child's last words."""
    child = await Child.start(
        Command("base", ("services.trainer.tiny_base.make", "--out", str(folder)), log, dict(os.environ))
    )
    if await child.run() != 0 and not is_model(folder):  # another run may have made it meanwhile
        raise UserError(f"model.base: tiny; it could not be made: {child.last_words()}; all of it is in {log}")


def substrate(folder: Path) -> Substrate:
    """The hashes of a base and of the code. Raises `UserError` where the folder holds no weights, or damaged ones."""
    try:
        with damage_named(folder):
            base_sha256 = hash_folder(folder)
        parameters = active_parameters(folder)
    except ModelMissing as missing:
        raise UserError(str(missing)) from missing
    return Substrate(
        base_sha256=base_sha256,
        code_sha256=code_sha256(),
        base_uri=str(folder),
        active_parameters=parameters,
    )


def active_parameters(folder: Path) -> int:
    """Parameters used per token, from the headers of the weights; of a mixture's routed experts, the chosen share.

    Tied weights are stored and counted once. Raises `ModelDamaged`, or `UserError` without weights.
    """
    shapes = weight_shapes(folder)
    if not shapes:
        raise UserError(f"model.base: {folder}; no *.safetensors file lies there: convert the weights to safetensors")
    with damage_named(folder / "config.json"):
        share = _active_share(model_config(folder))
    return round(sum(_product(shape) * (share if ".experts." in name else 1.0) for name, shape in shapes.items()))


def _active_share(config: dict[str, Any]) -> float:
    """Share of the routed experts that see a token; 1 for a dense model."""
    experts = next((config[k] for k in ("n_routed_experts", "num_experts", "num_local_experts") if config.get(k)), None)
    return config["num_experts_per_tok"] / experts if experts else 1.0


def _product(shape: list[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
