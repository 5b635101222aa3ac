"""Operations per token, and the time and the money that follow where a device reaches a share of its peak.

The share is an assumption, which a plan states: nothing here was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from schemas.recipe import Recipe
from sizing.activations import HALF
from sizing.devices import Device
from sizing.memory import AT_ONCE, evaluation
from sizing.parts import Experts
from sizing.shapes import Shapes

HOUR = 3600


@dataclass(frozen=True)
class Assumed:
    """What no configuration says."""

    row_tokens: float
    """Tokens of a training row, prompt and completion, on average."""
    answer_tokens: float
    """Tokens of a generated answer on average."""
    utilisation: float
    """Share of the peak that training reaches, operations that are done again included (HFU, arXiv 2204.02311)."""
    decoding: float
    """Share of the memory's bandwidth that generation reaches."""


DENSE, MIXTURE = 0.4, 0.15
"""Utilisation where nothing better is known: Llama 3 reports 0.38 to 0.43 (arXiv 2407.21783, table 4); a mixture's
products are smaller, and its experts wait for one another."""

DECODING = 0.3
"""Share of the bandwidth where nothing better is known."""


def assumed(shapes: Shapes, max_length: int, max_new_tokens: int) -> Assumed:
    """What is assumed of a model that nothing is known of: full sequences, which no plan can exceed."""
    return Assumed(max_length, max_new_tokens, MIXTURE if shapes.mixture else DENSE, DECODING)


def forward(shapes: Shapes, length: float) -> float:
    """Operations per token of a forward pass: two per weight that the token meets, and what sequences of a length mix.

    Kaplan et al., arXiv 2001.08361, section 2.1.
    """
    return 2 * sum(matrix.active for matrix in shapes.matrices()) + shapes.mixing(round(length))


def training(shapes: Shapes, recipe: Recipe, length: float) -> float:
    """Operations per trained token: a forward pass, as much for gradients of inputs, and again for those of weights.

    Beside an adapter the base needs none of its weights, so 2 of the 3 remain. Computing activations again adds a
    forward pass.
    """
    passes = (3 if recipe.adapter == "full" else 2) + (1 if recipe.activations == "recomputed" else 0)
    adapter = 0 if recipe.adapter == "full" else shapes.adapter(recipe.target_modules, recipe.rank)
    return passes * forward(shapes, length) + 6 * adapter


def trained_tokens(recipe: Recipe, known: Assumed) -> float:
    """Tokens of one training; in GRPO every prompt has a group of answers."""
    return recipe.steps * recipe.batch * known.row_tokens * (recipe.group if recipe.method == "grpo" else 1)


def tokens_per_second(shapes: Shapes, recipe: Recipe, device: Device, known: Assumed) -> float:
    """Of all devices of a training together."""
    operations = training(shapes, recipe, known.row_tokens)
    return recipe.devices * device.tflops * 1e12 * known.utilisation / operations


def touched(shapes: Shapes, tokens: int) -> float:
    """Weights that some tokens need together: of a mixture, all experts that one of them chooses, evenly at random."""
    spared = 0.0
    for block in shapes.blocks:
        for part in block:
            if isinstance(part, Experts):
                missed = (1 - part.chosen / part.experts) ** tokens
                spared += missed * sum(m.total for m in part.matrices() if m.copies > 1)
    return shapes.total - (0 if shapes.tied else shapes.embedding) - spared


def answers_per_second(shapes: Shapes, device: Device, known: Assumed) -> float:
    """Of one replica that generates `AT_ONCE` answers side by side: each token waits for the weights and the caches.

    The bound of the memory's bandwidth: Pope et al., arXiv 2211.05102, section 2.
    """
    read = HALF * touched(shapes, AT_ONCE) + AT_ONCE * shapes.cache(round(known.answer_tokens), HALF)
    return AT_ONCE * device.bandwidth * known.decoding / read / known.answer_tokens


def replica(shapes: Shapes, max_length: int, device: Device) -> int:
    """Devices over which the oracle must spread the model to generate."""
    return ceil(evaluation(shapes, max_length) / device.usable)


def training_hours(shapes: Shapes, recipe: Recipe, device: Device, known: Assumed) -> float:
    """Wall time of one training; GRPO generates its answers on every device before it learns from them."""
    learning = trained_tokens(recipe, known) / tokens_per_second(shapes, recipe, device, known)
    if recipe.method == "sft":
        return learning / HOUR
    rewarded = recipe.steps * recipe.batch * recipe.group
    replicas = recipe.devices if recipe.sharding == "replicated" else 1
    return (learning + rewarded / (replicas * answers_per_second(shapes, device, known))) / HOUR
