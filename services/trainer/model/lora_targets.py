"""Which layers an adapter will cover, told before it is trained.

Not every layer has every module: in a hybrid of Mamba, mixtures of experts and attention, `q_proj` is in the attention
layers alone. So layers are compared with those of their own kind: what is in none is a wrong name, and what is in some
of a kind only would leave the others untrained without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from services.trainer.job import TargetModuleMissing, TargetModulePartial

Cover = dict[str, tuple[int, Counter[str]]]
"""For each kind of layer, how many there are, and in how many of them each linear module is."""


def check(model: Any, targets: Sequence[str]) -> None:
    """Raise `TargetModuleMissing` or `TargetModulePartial` unless each target is where it is expected."""
    kinds = cover(model)
    linear = {name.rpartition(".")[2] for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}
    for target in targets:
        if target not in linear:
            raise TargetModuleMissing(
                f"recipe.target_modules: {target!r} is no linear layer of the model{_experts(model, target)}; "
                f"it has {told(kinds, linear)}"
            )
        for kind, (layers, modules) in kinds.items():
            if 0 < modules[target] < layers:
                raise TargetModulePartial(
                    f"recipe.target_modules: {target!r} is in {modules[target]} of the {layers} layers of the kind "
                    f"{kind}, and the others would not be trained; leave it out"
                )


def cover(model: Any) -> Cover:
    """The model's layers by kind."""
    kinds: Cover = {}
    names = set(getattr(model, "_no_split_modules", None) or ())
    for layer in (part for part in model.modules() if type(part).__name__ in names):
        layers, modules = kinds.get(kind(layer), (0, Counter()))
        linear = {name.rpartition(".")[2] for name, part in layer.named_modules() if isinstance(part, torch.nn.Linear)}
        kinds[kind(layer)] = layers + 1, modules + Counter(linear)
    return kinds


def kind(layer: Any) -> str:
    """What a layer is made of: the classes of its compound parts, such as its mixer."""
    return " + ".join(type(part).__name__ for part in layer.children() if any(part.children())) or type(layer).__name__


def told(kinds: Cover, linear: set[str]) -> str:
    """The linear layers of each kind of layer, and those outside."""
    inside = {name for _, modules in kinds.values() for name in modules}
    lines = [
        f"in {layers} {kind}: {', '.join(sorted(modules))}" for kind, (layers, modules) in kinds.items() if modules
    ]
    return "; ".join([*lines, *([f"outside: {', '.join(sorted(linear - inside))}"] if linear - inside else [])])


def _experts(model: Any, target: str) -> str:
    """A word on experts that share one tensor, to which no adapter of a linear layer can be attached."""
    held = (name for name, part in model.named_parameters() if part.ndim == 3 and target in name.rpartition(".")[2])
    first = next(held, None)
    return f" ({first} is a tensor of all experts, which gets no adapter)" if first else ""
