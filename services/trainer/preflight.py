"""Checks before a job costs anything: no weight is read, and the model is only built on the device `meta`.

Each check raises a failure of its own class, whose message names field, value and remedy. Failures in preflight are not
charged (`services.trainer.adapter_job`).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from schemas.plugins import UnknownName
from schemas.prompts import Prompt
from schemas.recipe import Recipe
from services.runtime.prompting import BOS_REMEDY, adds_special_tokens, bos_missing, turn_end
from services.runtime.storage.model_folders import load_tokenizer, model_folder
from services.runtime.storage.object_store import is_url
from services.trainer import registry
from services.trainer.batches import Data
from services.trainer.distributed.data_parallel import this_rank
from services.trainer.job import (
    BosMissing,
    DevicesMissing,
    DiskShort,
    MemoryShort,
    ModelUnsupported,
    RecipeUnsupported,
    RowsTooLong,
    SequenceTooLong,
    TrainingJob,
    short,
)
from services.trainer.model.trained_weights import TrainedWeights
from sizing.families import ShapesUnknown, read
from sizing.memory import training

MAX_DROPPED = 0.5
"""Largest share of the drawn rows that may be too long for the campaign's sequences."""

MOMENTS = 2
"""Numbers that AdamW keeps per trained weight, in single precision, beside the weight itself."""


def check(job: TrainingJob) -> None:
    """All checks that need only files.

    Raises `ModelMissing`, `ModelDamaged`, `PickledWeights`, `RecipeUnsupported`, `DevicesMissing`, `ModelUnsupported`,
    `SequenceTooLong`, `BosMissing`, `ChatTemplateMissing`, `EndTokenMissing`, `DiskShort`, or what the adapter form
    raises (`TargetModuleMissing`, `TargetModulePartial`, `OutputLayerTied`, `AdapterUnloadable`).
    """
    base = model_folder(job.base)
    check_recipe(job.recipe)
    check_devices(job.recipe.devices)
    config = _config(base)
    check_length(job.max_length, config)
    if adds_special_tokens(job.prompt):
        check_bos(base)
    check_end(base, job.prompt)
    check_disk(job, trained_weights(base, job.recipe))


def check_recipe(recipe: Recipe) -> None:
    """Raise `RecipeUnsupported` for an unknown method or adapter form, or for two values that exclude one another."""
    try:
        method, form = registry.METHODS.get(recipe.method), registry.ADAPTER_FORMS.get(recipe.adapter)
    except UnknownName as unknown:
        raise RecipeUnsupported(str(unknown)) from None
    if method.reference and form.every_weight:
        raise RecipeUnsupported(
            f"recipe.adapter: {recipe.adapter} does not work with method: {recipe.method}, which compares the model "
            "with its base and would need a second copy of it; use adapter: lora"
        )
    if recipe.devices == 1 or recipe.sharding == "replicated":
        return
    for field, name, entry in (("adapter", recipe.adapter, form), ("method", recipe.method, method)):
        if not entry.shardable:
            raise RecipeUnsupported(
                f"recipe.sharding: fsdp does not work with {field}: {name}; use sharding: replicated"
            )


def check_devices(devices: int) -> None:
    """Raise `DevicesMissing` unless a process can have a device of its own; processors serve any number."""
    if (world := this_rank().world) > 1 and devices not in (1, world):
        raise DevicesMissing(
            f"recipe.devices: {devices}, but torchrun has started {world} processes; start as many processes as devices"
        )
    if world == 1 and torch.cuda.is_available() and devices > (available := torch.cuda.device_count()):
        raise DevicesMissing(
            f"recipe.devices: {devices}, but this host has {available}; lower it, or train on a larger host"
        )


def check_length(max_length: int, config: Any) -> None:
    """Raise `SequenceTooLong` where a sequence may be longer than the model has positions."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and max_length > positions:
        raise SequenceTooLong(f"model.max_length: {max_length}, but the model has {positions} positions; lower it")


def check_rows(job: TrainingJob, data: Data) -> None:
    """Raise `RowsTooLong` where most of the drawn rows were dropped."""
    check_share(job, sum(map(len, data.batches)), data.too_long)


def check_share(job: TrainingJob, kept: int, too_long: int) -> None:
    """Raise `RowsTooLong` where more than `MAX_DROPPED` of the drawn rows were too long."""
    rows = kept + too_long
    if too_long > MAX_DROPPED * rows:
        raise RowsTooLong(
            f"model.max_length: {too_long} of {rows} drawn rows are longer than {job.max_length} tokens and would "
            "be dropped; raise it, or make shorter rows"
        )


def check_bos(base: Path) -> None:
    """Raise `BosMissing` where texts do not begin as the model expects."""
    tokenizer = load_tokenizer(base)
    if bos_missing(base, tokenizer):
        raise BosMissing(f"model.base: its tokenizer does not put {tokenizer.bos_token!r} before a text; {BOS_REMEDY}")


def check_end(base: Path, form: Prompt) -> None:
    """Raise `EndTokenMissing` or `ChatTemplateMissing` where nothing would end an answer, or nothing asks for it."""
    turn_end(load_tokenizer(base), form)


def trained_weights(base: Path, recipe: Recipe) -> int:
    """Number of weights that will be trained. Raises as the adapter form's `check` does."""
    weights: TrainedWeights = registry.load(registry.ADAPTER_FORMS.get(recipe.adapter).weights)()
    return weights.check(base, recipe)


def check_memory(job: TrainingJob, base: Path) -> None:
    """Raise `MemoryShort` where the estimate for a device is above its free memory; of a processor, its share of all.

    An architecture without a formula (`sizing.families`) is not checked.
    """
    cuda = torch.cuda.is_available()
    try:
        traits = registry.traits(job.recipe)
        needed = training(read(base), job.recipe, traits, job.max_length, half=cuda).total
    except ShapesUnknown:
        return
    if needed > (free := torch.cuda.mem_get_info()[0] if cuda else _processor_memory() // job.recipe.devices):
        raise MemoryShort(
            f"recipe: training needs about {needed / 2**30:.1f} GiB per device, {free / 2**30:.1f} GiB are free; use "
            "activations: recomputed, sharding: fsdp with more devices, or adapter: qlora, or lower model.max_length"
        )


def check_disk(job: TrainingJob, trained: int) -> None:
    """Raise `DiskShort` where there is no room for the result, or for two checkpoints: one replaces the other."""
    single = torch.float32.itemsize
    needed = {job.work: 2 * (1 + MOMENTS) * single * trained, job.out: single * trained}
    for place, size in needed.items():
        if is_url(place):
            continue
        existing = next(folder for folder in (Path(place), *Path(place).absolute().parents) if folder.exists())
        if (free := shutil.disk_usage(existing).free) < size:
            raise DiskShort(
                f"{place}: {size / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free; make room, or set "
                "AEVOLVE_WORK and AEVOLVE_ARTIFACTS to a larger volume"
            )


def _config(base: Path) -> Any:
    try:
        return AutoConfig.from_pretrained(base, trust_remote_code=False)
    except (ValueError, KeyError, OSError) as error:
        raise ModelUnsupported(
            f"model.base: transformers does not know the architecture of the configuration in {base} ({short(error)}); "
            "update transformers, or choose another base"
        ) from error


def _processor_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
