"""The adapter: low-rank updates of the recipe's target modules (LoRA, arXiv 2106.09685), attached, verified, saved.

PEFT ignores a target name that matches nothing as long as another matches, so an adapter can cover a fraction of what
its recipe says without a word. Here every name must match a linear layer, and every adapted layer must have learnt.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file

from schemas.evidence import Coverage
from schemas.recipe import Recipe
from services.trainer.distributed.data_parallel import Ranks
from services.trainer.job import AdapterUntrained
from services.trainer.model import lora_targets as targets

ADAPTER = "default"
"""PEFT's name of the only adapter."""


def attach(model: Any, recipe: Recipe) -> PeftModel:
    """The model with a fresh adapter; its output is unchanged until the first step.

    Raises `TargetModuleMissing` or `TargetModulePartial` unless each target is the last part of the name of a linear
    layer, in all layers of a kind or in none.
    """
    targets.check(model, recipe.target_modules)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_alpha=recipe.alpha,  # type: ignore[arg-type]  # PEFT only divides by it
        lora_dropout=recipe.dropout,
        target_modules=list(recipe.target_modules),
    )
    return get_peft_model(model, config)


def trainable(model: PeftModel) -> dict[str, torch.nn.Parameter]:
    """The adapter's parameters by name."""
    return {name: weight for name, weight in model.named_parameters() if f".{ADAPTER}." in name}


def coverage(model: PeftModel, optimizer: torch.optim.Optimizer, ranks: Ranks) -> Coverage:
    """Which layers were adapted and learnt. Raises `AdapterUntrained` where one never received a gradient.

    LoRA's B starts at zero and weight decay leaves zero at zero, so B is non-zero exactly where a gradient came.
    """
    layers: dict[str, Any] = {name: part for name, part in model.named_modules() if isinstance(part, LoraLayer)}
    moved = ranks.moved([layer.lora_B[ADAPTER].weight for layer in layers.values()])
    still = [name for name, learnt in zip(layers, moved, strict=True) if not learnt]
    if still:
        raise AdapterUntrained(
            f"recipe.target_modules: {len(still)} of {len(layers)} adapted layers did not move, such as {still[0]!r}; "
            "leave out modules that the forward pass does not use, or raise lr"
        )
    modules = Counter(name.rpartition(".")[2] for name in layers)
    count = sum(weight.numel() for weight in trainable(model).values())
    return Coverage(modules=dict(sorted(modules.items())), trainable=count, moved=len(layers))


def save(model: PeftModel, learnt: Mapping[str, torch.Tensor], folder: Path, base: Path) -> None:
    """Write the adapter's weights to a new folder, as PEFT reads it.

    Not by `save_pretrained`: that writes sets in hash order and the base's path into the files, so that equal adapters
    would have unequal hashes.
    """
    folder.mkdir()
    weights = get_peft_model_state_dict(model, state_dict=dict(learnt), save_embedding_layers=False)
    save_file({name: weight.detach().cpu().contiguous() for name, weight in weights.items()}, folder / WEIGHTS)
    (folder / "adapter_config.json").write_text(json.dumps(saved_config(model, base.name), indent=2, sort_keys=True))


WEIGHTS = "adapter_model.safetensors"
"""PEFT's name of the weights' file."""


def saved_config(model: PeftModel, base: str) -> dict[str, Any]:
    """What `adapter_config.json` will hold."""
    config = model.peft_config[ADAPTER].to_dict()
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    return {**plain, "base_model_name_or_path": base, "inference_mode": True}
