"""Operations per token, and the time that follows where a device reaches an assumed share of its peak.

Nothing here is measured: a plan states its assumptions.
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
from sizing.traits import Traits

HOUR = 3600


@dataclass(frozen=True)
class Assumptions:
    """Figures that no configuration gives."""

    row_tokens: float
    """Tokens of a training row, prompt and completion, on average."""
    answer_tokens: float
    """Tokens of a generated answer on average."""
    utilisation: float
    """Share of the peak that training reaches, recomputed operations included (HFU, arXiv 2204.02311)."""
    decoding: float
    """Share of the memory's bandwidth that generation reaches."""


DENSE, MIXTURE = 0.4, 0.15
"""Utilisation where no card gives one: Llama 3 reports 0.38 to 0.43 (arXiv 2407.21783, table 4); a mixture's matrix
products are smaller, and its experts wait for one another."""

DECODING = 0.3
"""Share of the bandwidth where no card gives one."""


def default_assumptions(shapes: Shapes, max_length: int, max_new_tokens: int) -> Assumptions:
    """Assumptions for a model without a card: full sequences, so that the estimate is an upper bound."""
    return Assumptions(max_length, max_new_tokens, MIXTURE if shapes.mixture else DENSE, DECODING)


def forward(shapes: Shapes, length: float) -> float:
    """Operations per token of a forward pass: two per weight that the token meets, and the mixing of a sequence.

    Kaplan et al., arXiv 2001.08361, section 2.1.
    """
    return 2 * sum(matrix.active for matrix in shapes.matrices()) + shapes.mixing(round(length))


def training(shapes: Shapes, recipe: Recipe, traits: Traits, length: float) -> float:
    """Operations per trained token: a forward pass, as much for gradients of inputs, and again for those of weights.

    Beside an adapter the base needs no weight gradients, so 2 of the 3 remain. Recomputed activations add a forward
    pass, and so does a reference model.
    """
    passes = (3 if traits.every_weight else 2) + (recipe.activations == "recomputed") + traits.reference
    adapter = 0 if traits.every_weight else shapes.adapter(recipe.target_modules, recipe.rank)
    return passes * forward(shapes, length) + 6 * adapter


def trained_tokens(recipe: Recipe, traits: Traits, assumptions: Assumptions) -> float:
    """Tokens of one training; each row counts once per sequence, or per answer that is generated for it."""
    return recipe.steps * recipe.batch * assumptions.row_tokens * max(traits.answers, traits.sequences)


def tokens_per_second(
    shapes: Shapes, recipe: Recipe, traits: Traits, device: Device, assumptions: Assumptions
) -> float:
    """Training speed of all devices together."""
    operations = training(shapes, recipe, traits, assumptions.row_tokens)
    return recipe.devices * device.tflops * 1e12 * assumptions.utilisation / operations


def touched(shapes: Shapes, tokens: int) -> float:
    """Weights that some tokens need together: of a mixture, every expert that one of them chooses, evenly at random."""
    spared = 0.0
    for block in shapes.blocks:
        for part in block:
            if isinstance(part, Experts):
                missed = (1 - part.chosen / part.experts) ** tokens
                spared += missed * sum(m.total for m in part.matrices() if m.copies > 1)
    return shapes.total - (0 if shapes.tied else shapes.embedding) - spared


def answers_per_second(shapes: Shapes, device: Device, assumptions: Assumptions) -> float:
    """Speed of one replica that generates `AT_ONCE` answers side by side; each token reads the weights and the caches.

    The bound of the memory's bandwidth: Pope et al., arXiv 2211.05102, section 2.
    """
    read = HALF * touched(shapes, AT_ONCE) + AT_ONCE * shapes.cache(round(assumptions.answer_tokens), HALF)
    return AT_ONCE * device.bandwidth * assumptions.decoding / read / assumptions.answer_tokens


def replica(shapes: Shapes, max_length: int, device: Device) -> int:
    """Devices over which the oracle must spread the model to generate."""
    return ceil(evaluation(shapes, max_length) / device.usable)


def training_hours(shapes: Shapes, recipe: Recipe, traits: Traits, device: Device, assumptions: Assumptions) -> float:
    """Wall time of one training; answers are generated on every device before the method learns from them."""
    speed = tokens_per_second(shapes, recipe, traits, device, assumptions)
    learning = trained_tokens(recipe, traits, assumptions) / speed
    if not traits.answers:
        return learning / HOUR
    generated = recipe.steps * recipe.batch * traits.answers
    replicas = recipe.devices if recipe.sharding == "replicated" else 1
    return (learning + generated / (replicas * answers_per_second(shapes, device, assumptions))) / HOUR
