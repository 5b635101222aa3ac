"""The adapter: low-rank updates of the recipe's target modules (LoRA, arXiv 2106.09685), attached, verified, saved.

PEFT ignores a target name that matches nothing as long as another matches, so an adapter could silently cover a
fraction of its recipe. Here every name must match a linear layer, and every adapted layer must have learned.

Not every layer has every module: in a hybrid of Mamba, mixtures of experts and attention, only attention layers have
`q_proj`. So a layer is compared with the layers of its kind: a target in no layer is a wrong name, and a target in some
layers of a kind would silently leave the others untrained.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file

from schemas.evidence import Coverage
from schemas.recipe import ALL_LINEAR, Recipe
from services.trainer.distributed.data_parallel import Ranks
from services.trainer.job import (
    AdapterUnloadable,
    AdapterUntrained,
    OutputLayerTied,
    TargetModuleMissing,
    TargetModulePartial,
    short,
)
from services.trainer.model import loading
from services.trainer.model.trained_weights import TrainedWeights

ADAPTER = "default"
"""PEFT's name of the only adapter."""

WEIGHTS = "adapter_model.safetensors"
"""PEFT's name of the weights' file."""

MAMBA = frozenset({"falcon_h1", "mamba", "mamba2", "falcon_mamba", "nemotron_h"})
"""Architectures whose `out_proj` PEFT does not adapt: a mixer reads that weight without calling the layer."""

Layers = dict[str, tuple[int, Counter[str]]]
"""For each kind of layer, how many there are, and in how many of them each linear module is."""


class Lora(TrainedWeights):
    """The recipe's `adapter: lora`."""

    def load(self, base: Path, device: str, dtype: torch.dtype) -> Any:
        """The base in the number format of the passes."""
        return loading.load(base, device, dtype)

    def attach(self, model: Any, recipe: Recipe) -> PeftModel:
        """The model with a fresh adapter; its output is unchanged until the first step.

        Raises `TargetModuleMissing` or `TargetModulePartial` unless each target is the last part of the name of a
        linear layer, in all layers of a kind or in none; `OutputLayerTied` for an output layer that is the embedding.
        """
        config = LoraConfig(
            task_type="CAUSAL_LM",
            r=recipe.rank,
            lora_alpha=recipe.alpha,  # type: ignore[arg-type]  # PEFT only divides by it
            lora_dropout=recipe.dropout,
            target_modules=targets_of(model, recipe.target_modules),
            use_rslora=recipe.lora_variant in ("rslora", "rsdora"),
            use_dora=recipe.lora_variant in ("dora", "rsdora"),
        )
        return get_peft_model(model, config)

    def check(self, base: Path, recipe: Recipe) -> int:
        """Number of adapter weights, counted by attaching the adapter, and loading it again as the oracle would.

        Raises `TargetModuleMissing`, `TargetModulePartial`, `OutputLayerTied` or `AdapterUnloadable`.
        """
        base_model = loading.load(base, loading.META, torch.float32)
        try:
            model = self.attach(base_model, recipe)
            weights = get_peft_model_state_dict(model, save_embedding_layers=False)
            config: LoraConfig = LoraConfig.from_peft_type(  # type: ignore[no-untyped-call]
                **json.loads(json.dumps(saved_config(model, str(base))))
            )
            scored = get_peft_model(loading.load(base, loading.META, torch.float32), config)
            mismatch: Any = set_peft_model_state_dict(scored, dict(weights))
        except (ValueError, RuntimeError) as error:  # PEFT's, about names and shapes of modules
            raise AdapterUnloadable(f"recipe.target_modules: PEFT refuses the adapter ({short(error)})") from error
        missing = [name for name in mismatch.missing_keys if f".{ADAPTER}." in name]
        if lost := [*mismatch.unexpected_keys, *missing]:
            raise AdapterUnloadable(
                f"recipe.target_modules: {len(lost)} weights of the adapter have no place in the model, such as "
                f"{lost[0]!r}"
            )
        return sum(weight.numel() for weight in weights.values())

    def coverage(self, model: PeftModel, optimizer: torch.optim.Optimizer, ranks: Ranks) -> Coverage:
        """The layers that were adapted and have learned. Raises `AdapterUntrained` where one received no gradient.

        LoRA's B starts at zero and weight decay leaves zero at zero, so B is non-zero exactly where a gradient came.
        """
        layers: dict[str, Any] = {name: part for name, part in model.named_modules() if isinstance(part, LoraLayer)}
        moved = ranks.moved([layer.lora_B[ADAPTER].weight for layer in layers.values()])
        unmoved = [name for name, learned in zip(layers, moved, strict=True) if not learned]
        if unmoved:
            raise AdapterUntrained(
                f"recipe.target_modules: {len(unmoved)} of {len(layers)} adapted layers did not move, such as "
                f"{unmoved[0]!r}; leave out modules that the forward pass does not use, or raise lr"
            )
        modules = Counter(name.rpartition(".")[2] for name in layers)
        count = sum(weight.numel() for weight in trainable(model).values())
        return Coverage(modules=dict(sorted(modules.items())), trainable=count, moved=len(layers))

    def save(self, model: PeftModel, weights: Mapping[str, torch.Tensor], folder: Path, base: Path) -> None:
        """Write the adapter's weights to a new folder, as PEFT reads it.

        Not by `save_pretrained`: that writes sets in hash order and the base's path into the files, so that equal
        adapters would have unequal hashes.
        """
        folder.mkdir()
        state = get_peft_model_state_dict(model, state_dict=dict(weights), save_embedding_layers=False)
        save_file({name: weight.detach().cpu().contiguous() for name, weight in state.items()}, folder / WEIGHTS)
        config = json.dumps(saved_config(model, base.name), indent=2, sort_keys=True)
        (folder / "adapter_config.json").write_text(config)


class QuantisedLora(Lora):
    """The recipe's `adapter: qlora`: the same adapter beside a base in 4 bits."""

    def load(self, base: Path, device: str, dtype: torch.dtype) -> Any:
        """The base with its linear layers in 4 bits. Raises `QuantizerMissing`."""
        return loading.load_in_4_bits(base, device, dtype)


def trainable(model: PeftModel) -> dict[str, torch.nn.Parameter]:
    """The adapter's parameters by name."""
    return {name: weight for name, weight in model.named_parameters() if f".{ADAPTER}." in name}


def saved_config(model: PeftModel, base: str) -> dict[str, Any]:
    """The contents of `adapter_config.json`."""
    config = model.peft_config[ADAPTER].to_dict()
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    return {**plain, "base_model_name_or_path": base, "inference_mode": True}


def targets_of(model: Any, targets: Sequence[str]) -> list[str]:
    """The last parts of the names of the layers to adapt. Raises as `check_targets` and `check_output` do.

    `all-linear` is every linear layer but the output layer, and but those that PEFT refuses (`MAMBA`). None of them can
    be missing or partial.
    """
    if tuple(targets) != (ALL_LINEAR,):
        check_targets(model, targets)
        check_output(model, targets)
        return list(targets)
    refused = {"out_proj"} if model.config.model_type in MAMBA else set()
    names = _linear_names(model) - {_output_name(model)} - refused
    if not names:
        raise TargetModuleMissing(f"recipe.target_modules: {ALL_LINEAR} finds no linear layer; use adapter: full")
    return sorted(names)


def check_output(model: Any, targets: Sequence[str]) -> None:
    """Raise `OutputLayerTied` where a target is an output layer that shares its weight with the embedding.

    Merging would change the embedding, too, and engines serve such an adapter as the base.
    """
    if (output := model.get_output_embeddings()) is None:
        return
    embedding = model.get_input_embeddings()
    if embedding is None or output.weight is not embedding.weight:
        return
    if (name := _output_name(model)) in targets:
        raise OutputLayerTied(
            f"recipe.target_modules: {name} is the model's embedding (tie_word_embeddings), and an adapter would "
            "change only one of the two; leave it out, use all-linear, or train adapter: full"
        )


def _output_name(model: Any) -> str:
    """The last part of the output layer's name; empty where there is none."""
    output = model.get_output_embeddings()
    return next((name.rpartition(".")[2] for name, part in model.named_modules() if part is output), "")


def check_targets(model: Any, targets: Sequence[str]) -> None:
    """Raise `TargetModuleMissing` or `TargetModulePartial` unless each target is in all layers of a kind or in none."""
    kinds = layers_by_kind(model)
    linear = _linear_names(model)
    for target in targets:
        if target not in linear:
            raise TargetModuleMissing(
                f"recipe.target_modules: {target!r} is no linear layer of the model{_experts_note(model, target)}; "
                f"it has {_listing(kinds, linear)}"
            )
        for kind, (layers, modules) in kinds.items():
            if 0 < modules[target] < layers:
                raise TargetModulePartial(
                    f"recipe.target_modules: {target!r} is in {modules[target]} of the {layers} layers of the kind "
                    f"{kind}, and the others would not be trained; leave it out"
                )


def layers_by_kind(model: Any) -> Layers:
    """The model's layers by the classes of their compound parts, such as their mixer."""
    kinds: Layers = {}
    names = set(getattr(model, "_no_split_modules", None) or ())
    for layer in (part for part in model.modules() if type(part).__name__ in names):
        compound = " + ".join(type(part).__name__ for part in layer.children() if any(part.children()))
        kind = compound or type(layer).__name__
        layers, modules = kinds.get(kind, (0, Counter()))
        kinds[kind] = layers + 1, modules + Counter(_linear_names(layer))
    return kinds


def _linear_names(module: Any) -> set[str]:
    return {name.rpartition(".")[2] for name, part in module.named_modules() if isinstance(part, torch.nn.Linear)}


def _listing(kinds: Layers, linear: set[str]) -> str:
    """The linear layers of each kind of layer, and those outside."""
    inside = {name for _, modules in kinds.values() for name in modules}
    lines = [
        f"in {layers} {kind}: {', '.join(sorted(modules))}" for kind, (layers, modules) in kinds.items() if modules
    ]
    return "; ".join([*lines, *([f"outside: {', '.join(sorted(linear - inside))}"] if linear - inside else [])])


def _experts_note(model: Any, target: str) -> str:
    """A note on experts that share one tensor, to which no adapter of a linear layer can be attached."""
    tensors = (name for name, part in model.named_parameters() if part.ndim == 3 and target in name.rpartition(".")[2])
    first = next(tensors, None)
    return f" ({first} is a tensor of all experts, which gets no adapter)" if first else ""
