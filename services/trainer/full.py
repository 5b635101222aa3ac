"""Every weight trained: which have learnt, and the folder of a plain Hugging Face model that results."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer

from schemas.evidence import Coverage
from schemas.recipe import Recipe
from services.trainer.job import AdapterUntrained


def attach(model: Any, recipe: Recipe) -> Any:
    """The model with all weights trainable; `target_modules`, `rank`, `alpha` and `dropout` are an adapter's alone."""
    return model.requires_grad_(True)


def coverage(model: Any, optimizer: torch.optim.Optimizer) -> Coverage:
    """Which modules have learnt. Raises `AdapterUntrained` where a weight never received a gradient.

    AdamW's mean of squared gradients is above zero exactly where a gradient came.
    """
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    still = [name for name, weight in weights.items() if not _moved(optimizer.state.get(weight))]
    if still:
        raise AdapterUntrained(
            f"recipe.adapter: full: {len(still)} of {len(weights)} weights did not move, such as {still[0]!r}; train "
            "an adapter on the modules that the forward pass uses"
        )
    layers = {name.rpartition(".")[0] for name in weights}
    modules = Counter(layer.rpartition(".")[2] for layer in layers)
    count = sum(weight.numel() for weight in weights.values())
    return Coverage(modules=dict(sorted(modules.items())), trainable=count, moved=len(layers))


def _moved(state: dict[str, Any] | None) -> bool:
    return state is not None and bool(state["exp_avg_sq"].any())


def save(model: Any, folder: Path, base: Path) -> None:
    """Write model and tokenizer to a new folder, in the number format of the base's own files."""
    kept = AutoConfig.from_pretrained(base).dtype or torch.float32
    model.to(kept).save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
