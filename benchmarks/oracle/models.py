"""The bases and adapters that are measured: the demo's model, one four times its width, and eight adapters on each.

The adapters are drawn at random, small enough to leave most answers whole: how fast they are asked does not depend on
what they were taught. The wide model is trained for a few steps, so that it ends its answers.
"""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import torch
from transformers import AutoModelForCausalLM

from schemas.recipe import Recipe
from services.trainer.model import lora
from services.trainer.tiny_base import make as base

STEPS = {"demo": base.DEFAULT_STEPS, "wide": 150}
QUICK_STEPS = 4
WIDTH = 4
SPREAD = 0.02
"""Standard deviation of an adapter's weights."""


def make_base(folder: Path, name: str, *, quick: bool) -> Path:
    """The base `demo` or `wide` in a folder, made where it is not there."""
    steps = QUICK_STEPS if quick else STEPS[name]
    place = folder / f"{name}-{steps}"
    if not place.exists():
        print(f"making {place}: {steps} steps", flush=True)
        with patch.dict(base.SHAPE, shape(name)):
            base.make_base(place, steps=steps)
    return place


def shape(name: str) -> dict[str, int]:
    """What the model has other than the demo's; heads are as wide as there."""
    widened = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
    return {key: WIDTH * base.SHAPE[key] for key in widened} if name == "wide" else {}


def make_adapters(model: Path, number: int) -> list[Path]:
    """So many LoRA adapters of a base, of rank 16 on all its linear layers, beside it."""
    places = [model.with_name(f"{model.name}-adapter{seed}") for seed in range(number)]
    for seed, place in enumerate(places):
        if not place.exists():
            torch.manual_seed(seed)
            adapted = lora.Lora().attach(AutoModelForCausalLM.from_pretrained(model), Recipe())
            for weight in filter(lambda weight: weight.requires_grad, adapted.parameters()):
                torch.nn.init.normal_(weight, std=SPREAD)
            adapted.save_pretrained(str(place))
    return places
