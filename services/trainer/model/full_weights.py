"""Every weight trained, and saved as a plain Hugging Face model."""

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
from services.trainer.model import loading
from services.trainer.model.trained_weights import TrainedWeights


class FullWeights(TrainedWeights):
    """The recipe's `adapter: full`; `target_modules`, `rank`, `alpha` and `dropout` do not apply."""

    def load(self, base: Path, device: str, dtype: torch.dtype) -> Any:
        """In single precision, whatever the passes use: bfloat16's 8 bits would lose most updates of a weight."""
        return loading.load(base, device, torch.float32)

    def attach(self, model: Any, recipe: Recipe) -> Any:
        """The model with all weights trainable."""
        return model.requires_grad_(True)

    def check(self, base: Path, recipe: Recipe) -> int:
        """Number of weights of the model."""
        return sum(weight.numel() for weight in loading.load(base, loading.META, torch.float32).parameters())

    def coverage(self, model: Any, optimizer: torch.optim.Optimizer, ranks: Ranks) -> Coverage:
        """The modules that have learned. Raises `AdapterUntrained` where a weight never received a gradient.

        AdamW's mean of squared gradients is above zero exactly where a gradient came.
        """
        weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        squares = [optimizer.state[weight]["exp_avg_sq"] for weight in weights.values() if weight in optimizer.state]
        moved = iter(ranks.moved(squares))
        unmoved = [name for name, weight in weights.items() if weight not in optimizer.state or not next(moved)]
        if unmoved:
            raise AdapterUntrained(
                f"recipe.adapter: full: {len(unmoved)} of {len(weights)} weights did not move, such as {unmoved[0]!r}; "
                "train an adapter on the modules that the forward pass uses"
            )
        layers = {name.rpartition(".")[0] for name in weights}
        modules = Counter(layer.rpartition(".")[2] for layer in layers)
        count = sum(weight.numel() for weight in weights.values())
        return Coverage(modules=dict(sorted(modules.items())), trainable=count, moved=len(layers))

    def save(self, model: Any, weights: Mapping[str, torch.Tensor], folder: Path, base: Path) -> None:
        """Write model and tokenizer to a new folder, in the number format and with the configuration of the base."""
        config = AutoConfig.from_pretrained(base, trust_remote_code=False)
        config.dtype = dtype = config.dtype or torch.float32
        state = {name: weight.to(dtype) for name, weight in weights.items()}
        buffers = {name: value for name, value in model.state_dict().items() if name in dict(model.named_buffers())}
        model.save_pretrained(folder, state_dict={**buffers, **state})
        config.save_pretrained(folder)
        AutoTokenizer.from_pretrained(base, trust_remote_code=False).save_pretrained(folder)
