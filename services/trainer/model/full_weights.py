"""Every weight trained: which have learnt, and the folder of a plain Hugging Face model that results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer

from schemas.evidence import Coverage
from schemas.recipe import Recipe
from services.trainer.distributed.data_parallel import Ranks
from services.trainer.job import AdapterUntrained


def attach(model: Any, recipe: Recipe) -> Any:
    """The model with all weights trainable; `target_modules`, `rank`, `alpha` and `dropout` are an adapter's alone."""
    return model.requires_grad_(True)


def coverage(model: Any, optimizer: torch.optim.Optimizer, ranks: Ranks) -> Coverage:
    """Which modules have learnt. Raises `AdapterUntrained` where a weight never received a gradient.

    AdamW's mean of squared gradients is above zero exactly where a gradient came.
    """
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    squares = [optimizer.state[weight]["exp_avg_sq"] for weight in weights.values() if weight in optimizer.state]
    found = iter(ranks.moved(squares))
    still = [name for name, weight in weights.items() if weight not in optimizer.state or not next(found)]
    if still:
        raise AdapterUntrained(
            f"recipe.adapter: full: {len(still)} of {len(weights)} weights did not move, such as {still[0]!r}; train "
            "an adapter on the modules that the forward pass uses"
        )
    layers = {name.rpartition(".")[0] for name in weights}
    modules = Counter(layer.rpartition(".")[2] for layer in layers)
    count = sum(weight.numel() for weight in weights.values())
    return Coverage(modules=dict(sorted(modules.items())), trainable=count, moved=len(layers))


def save(model: Any, learnt: Mapping[str, torch.Tensor], folder: Path, base: Path) -> None:
    """Write model and tokenizer to a new folder, in the number format and with the configuration of the base."""
    config = AutoConfig.from_pretrained(base)
    config.dtype = kept = config.dtype or torch.float32
    weights = {name: weight.to(kept) for name, weight in learnt.items()}
    buffers = {name: held for name, held in model.state_dict().items() if name in dict(model.named_buffers())}
    model.save_pretrained(folder, state_dict={**buffers, **weights})
    config.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
