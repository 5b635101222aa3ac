"""The training methods and the adapter forms: a table each, to which other packages add through entry points.

Importing this module loads no torch, since campaign files are checked and plans are made without it. What runs in the
job's process is named as `module:class` and imported there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from schemas.campaign import Campaign
from schemas.plugins import Registry, UnknownName
from schemas.recipe import Recipe
from schemas.targets import Outside
from sizing.traits import Traits


@dataclass(frozen=True)
class Method:
    """One value of the recipe's `method`."""

    learner: str
    """`module:class` of a `services.trainer.learner.Learner`: one job in progress."""
    answers: Callable[[Recipe], int] = lambda _: 0
    """Answers that the model generates in training per row of a batch."""
    shardable: bool = True
    """Whether it can train a model that several devices hold together (`sharding: fsdp`)."""
    sequences: int = 1
    """Sequences that it learns from per row of a batch."""
    reference: bool = False
    """Whether it compares the model with its base, which only an adapter leaves as it was."""


@dataclass(frozen=True)
class AdapterForm:
    """One value of the recipe's `adapter`."""

    weights: str
    """`module:class` of a `services.trainer.model.trained_weights.TrainedWeights`: how the weights are loaded, attached
    and saved."""
    every_weight: bool = False
    """Whether every weight is trained, in single precision, and the whole model saved; else an adapter."""
    four_bits: bool = False
    """Whether the base's linear layers are held in 4 bits."""
    shardable: bool = True
    """Whether several devices can hold the model together (`sharding: fsdp`)."""

    @property
    def saved(self) -> Literal["adapter", "full"]:
        """What the folder of a checkpoint holds."""
        return "full" if self.every_weight else "adapter"


METHODS = Registry(
    field="recipe.method",
    group="aevolve.training_methods",
    builtin={
        "sft": Method("services.trainer.methods.sft:Supervised"),
        "grpo": Method(
            "services.trainer.methods.grpo:Reinforced", answers=lambda recipe: recipe.group, shardable=False
        ),
        "dpo": Method("services.trainer.methods.dpo:Preferring", sequences=2, shardable=False, reference=True),
    },
)

ADAPTER_FORMS = Registry(
    field="recipe.adapter",
    group="aevolve.adapter_forms",
    builtin={
        "lora": AdapterForm("services.trainer.model.lora:Lora"),
        "qlora": AdapterForm("services.trainer.model.lora:QuantisedLora", four_bits=True, shardable=False),
        "full": AdapterForm("services.trainer.model.full_weights:FullWeights", every_weight=True),
    },
)


def load(name: str) -> Any:
    """The object that `module:name` names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def traits(recipe: Recipe) -> Traits:
    """What decides memory and time of a recipe's method and adapter form. Raises `UnknownName`."""
    method, form = METHODS.get(recipe.method), ADAPTER_FORMS.get(recipe.adapter)
    return Traits(
        every_weight=form.every_weight,
        four_bits=form.four_bits,
        answers=method.answers(recipe),
        sequences=method.sequences,
        reference=method.reference,
        shardable=method.shardable and form.shardable,
    )


def training_mistakes(campaign: Campaign) -> list[str]:
    """Errors in the methods and adapter forms of a campaign's recipe and search space."""
    law = campaign.constitution
    errors = []
    for registry, knob in ((METHODS, "method"), (ADAPTER_FORMS, "adapter")):
        for name in dict.fromkeys([campaign.recipe.get(knob), *law.values(knob)]):
            try:
                registry.get(str(name))
            except UnknownName as unknown:
                errors.append(str(unknown))
    if not errors and isinstance(law.target, Outside):
        errors += [
            f"recipe.adapter: {name} saves no adapter, and a board takes nothing else; leave it out"
            for name in dict.fromkeys([campaign.recipe.adapter, *map(str, law.values("adapter"))])
            if ADAPTER_FORMS.get(name).every_weight
        ]
    return errors
