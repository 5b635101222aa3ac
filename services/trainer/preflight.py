"""What is checked before a job costs anything: no weight is read, and the model is only announced (device `meta`).

Each check ends in a failure of its own class, whose message names the field, the value and the remedy. What is found
here is not charged (`services.trainer.adapter_job`).
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import AutoConfig, AutoTokenizer

from schemas.recipe import Recipe
from services.runtime.prompting import BOS_REMEDY, adds_special_tokens, bos_missing
from services.runtime.storage.model_folders import model_folder
from services.runtime.storage.object_store import is_url
from services.trainer.batches import Data
from services.trainer.distributed.data_parallel import here
from services.trainer.job import (
    AdapterUnloadable,
    BosMissing,
    DevicesMissing,
    DiskShort,
    MemoryShort,
    ModelUnsupported,
    RecipeUnsupported,
    RowsTooLong,
    SequenceTooLong,
    TrainingJob,
)
from services.trainer.model import loading, lora
from sizing.families import ShapesUnknown, read
from sizing.memory import training

DROPPED = 0.5
"""Share of the drawn rows that may be too long for the campaign's sequences."""

MOMENTS = 2
"""Numbers that AdamW keeps per trained weight, in single precision, beside the weight itself."""


def check(job: TrainingJob) -> None:
    """What can be known from the files alone.

    Raises `ModelMissing`, `PickledWeights`, `RecipeUnsupported`, `DevicesMissing`, `ModelUnsupported`,
    `SequenceTooLong`, `BosMissing`, `TargetModuleMissing`, `TargetModulePartial`, `AdapterUnloadable` or `DiskShort`.
    """
    base = model_folder(job.base)
    check_recipe(job.recipe)
    check_devices(job.recipe.devices)
    config = _config(base)
    check_length(job.max_length, config)
    if adds_special_tokens(job.profile):
        check_bos(base)
    check_disk(job, weights(base, job.recipe))


def check_recipe(recipe: Recipe) -> None:
    """Raise `RecipeUnsupported` where two values exclude one another."""
    if recipe.devices == 1 or recipe.sharding == "replicated":
        return
    if recipe.adapter == "qlora":
        raise RecipeUnsupported("recipe.sharding: fsdp cannot divide a base in 4 bits; say sharding: replicated")
    if recipe.method == "grpo":
        raise RecipeUnsupported("recipe.sharding: fsdp cannot sample answers for grpo; say sharding: replicated")


def check_devices(devices: int) -> None:
    """Raise `DevicesMissing` unless a process can have a device of its own; processors serve any number."""
    if (world := here().world) > 1 and devices not in (1, world):
        raise DevicesMissing(f"recipe.devices: {devices} are asked for, torchrun has started {world} processes")
    if world == 1 and torch.cuda.is_available() and devices > (found := torch.cuda.device_count()):
        raise DevicesMissing(
            f"recipe.devices: {devices} are asked for, this host has {found}; lower it, or train on a larger host"
        )


def check_length(max_length: int, config: Any) -> None:
    """Raise `SequenceTooLong` where a sequence may be longer than the model has positions."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and max_length > positions:
        raise SequenceTooLong(f"model.max_length: {max_length}, the model has {positions} positions; lower it")


def check_rows(job: TrainingJob, data: Data) -> None:
    """Raise `RowsTooLong` where most of the rows that were drawn have been dropped."""
    kept = sum(map(len, data.batches))
    if data.too_long > DROPPED * (kept + data.too_long):
        raise RowsTooLong(
            f"model.max_length: {data.too_long} of {kept + data.too_long} drawn rows are longer than {job.max_length} "
            "tokens and would be dropped; raise it, or make shorter rows"
        )


def check_bos(base: Path) -> None:
    """Raise `BosMissing` where texts do not begin as the model expects."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    if bos_missing(base, tokenizer):
        raise BosMissing(f"model.base: its tokenizer does not put {tokenizer.bos_token!r} before a text; {BOS_REMEDY}")


def weights(base: Path, recipe: Recipe) -> int:
    """How many weights will be trained; an adapter is attached, and attached again as whoever scores it would.

    Raises `TargetModuleMissing`, `TargetModulePartial` or `AdapterUnloadable`.
    """
    model = loading.plain(base, loading.META, torch.float32)
    if recipe.adapter == "full":
        return sum(weight.numel() for weight in model.parameters())
    try:
        model = lora.attach(model, recipe)
        saved = get_peft_model_state_dict(model, save_embedding_layers=False)
        config: LoraConfig = LoraConfig.from_peft_type(  # type: ignore[no-untyped-call]
            **json.loads(json.dumps(lora.saved_config(model, str(base))))
        )
        again = get_peft_model(loading.plain(base, loading.META, torch.float32), config)
        missed: Any = set_peft_model_state_dict(again, dict(saved))
    except (ValueError, RuntimeError) as error:  # PEFT's, about names and shapes of modules
        raise AdapterUnloadable(f"recipe.target_modules: PEFT refuses the adapter ({_short(error)})") from error
    lost = [*missed.unexpected_keys, *(name for name in missed.missing_keys if f".{lora.ADAPTER}." in name)]
    if lost:
        raise AdapterUnloadable(
            f"recipe.target_modules: {len(lost)} weights of the adapter have no place in the model, such as {lost[0]!r}"
        )
    return sum(weight.numel() for weight in saved.values())


def check_memory(job: TrainingJob, base: Path) -> None:
    """Raise `MemoryShort` where the estimate for a device is above what it has free; of a processor, its share of all.

    Of an architecture without a formula (`sizing.families`) nothing is said.
    """
    cuda = torch.cuda.is_available()
    try:
        needed = training(read(base), job.recipe, job.max_length, half=cuda).total
    except ShapesUnknown:
        return
    if needed > (free := torch.cuda.mem_get_info()[0] if cuda else _processor_memory() // job.recipe.devices):
        raise MemoryShort(
            f"recipe: a training needs about {needed / 2**30:.1f} GiB per device, {free / 2**30:.1f} GiB are free; say "
            "activations: recomputed, sharding: fsdp with more devices, or adapter: qlora, or lower model.max_length"
        )


def check_disk(job: TrainingJob, trained: int) -> None:
    """Raise `DiskShort` where checkpoint or result have no room: of the former two lie there while one is replaced."""
    single = torch.float32.itemsize
    needed = {job.work: 2 * (1 + MOMENTS) * single * trained, job.out: single * trained}
    for place, size in needed.items():
        if not is_url(place) and (free := shutil.disk_usage(_existing(Path(place))).free) < size:
            raise DiskShort(
                f"{place}: {size / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free; make room, or set "
                "AEVOLVE_WORK and AEVOLVE_ARTIFACTS to a larger volume"
            )


def _config(base: Path) -> Any:
    try:
        return AutoConfig.from_pretrained(base)
    except (ValueError, KeyError, OSError) as error:
        raise ModelUnsupported(
            f"model.base: the configuration in {base} is of no known architecture ({_short(error)}); "
            "update transformers, or choose another base"
        ) from error


def _processor_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _existing(place: Path) -> Path:
    """The place, or the nearest folder above it that is there."""
    return next(folder for folder in (place, *place.absolute().parents) if folder.exists())


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
