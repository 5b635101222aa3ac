"""Operations per token, and the time that follows where a device reaches an assumed share of its peak.

Nothing here is measured, unless a plan comes with measured figures: it states its assumptions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from schemas.recipe import Recipe
from sizing.activations import HALF
from sizing.devices import Device
from sizing.memory import AT_ONCE, evaluation
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
    """Share of the memory's bandwidth that generation reaches; on a processor, of its peak operations."""


@dataclass(frozen=True)
class Measured:
    """Figures of this machine, in place of typical ones."""

    device: str
    """Name of the device."""
    tokens_per_second: float
    """Trained tokens, on one device or core."""
    answers_per_second: float
    """Generated answers, on one device or core."""
    row_tokens: float
    """Tokens per row of what was trained."""
    answer_tokens: float
    """Tokens per answer."""
    rows: str
    """Where the rows come from, in words."""
    seconds: float
    """What the measurement took."""


DENSE, MIXTURE = 0.4, 0.15
"""Utilisation where no card gives one: Llama 3 reports 0.38 to 0.43 (arXiv 2407.21783, table 4); a mixture's matrix
products are smaller, and its experts wait for one another."""

DECODING = 0.3
"""Share of the bandwidth where no card gives one."""

CORE_DENSE, CORE_MIXTURE = 0.7, 0.35
"""Utilisation of a processor's core. SmolLM2-135M trains at 90 to 125 tokens per second on one core with AVX2."""


def default_assumptions(shapes: Shapes, max_length: int, max_new_tokens: int) -> Assumptions:
    """Assumptions for a model without a card: full sequences, so that the estimate is an upper bound."""
    return Assumptions(max_length, max_new_tokens, MIXTURE if shapes.mixture else DENSE, DECODING)


def on_processor(assumptions: Assumptions, shapes: Shapes) -> Assumptions:
    """The assumptions with the shares that a processor reaches, in training as in generation."""
    share = CORE_MIXTURE if shapes.mixture else CORE_DENSE
    return replace(assumptions, utilisation=share, decoding=share)


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
    for matrix in shapes.matrices():
        if matrix.copies > 1:
            spared += (1 - matrix.used / matrix.copies) ** tokens * matrix.total
    return shapes.total - shapes.idle - (0 if shapes.tied else shapes.embedding) - spared


def answers_per_second(shapes: Shapes, device: Device, assumptions: Assumptions) -> float:
    """Speed of one replica that generates `AT_ONCE` answers side by side; each token reads the weights and the caches.

    The bound of the memory's bandwidth: Pope et al., arXiv 2211.05102, section 2. A processor's core is bound by its
    operations instead: those of a question with its answer, taken to be as long as a training row.
    """
    if device.cores:
        tokens = max(assumptions.row_tokens, assumptions.answer_tokens)
        return device.tflops * 1e12 * assumptions.decoding / (forward(shapes, tokens) * tokens)
    read = HALF * touched(shapes, AT_ONCE) + AT_ONCE * shapes.cache(round(assumptions.answer_tokens), HALF)
    return AT_ONCE * device.bandwidth * assumptions.decoding / read / assumptions.answer_tokens


def replica(shapes: Shapes, max_length: int, device: Device) -> int:
    """Devices over which the oracle must spread the model to generate."""
    return ceil(evaluation(shapes, max_length, half=device.half) / device.usable)


def training_hours(shapes: Shapes, recipe: Recipe, traits: Traits, device: Device, assumptions: Assumptions) -> float:
    """Wall time of one training; answers are generated on every device before the method learns from them."""
    speed = tokens_per_second(shapes, recipe, traits, device, assumptions)
    learning = trained_tokens(recipe, traits, assumptions) / speed
    if not traits.answers:
        return learning / HOUR
    generated = recipe.steps * recipe.batch * traits.answers
    replicas = recipe.devices if recipe.sharding == "replicated" else 1
    return (learning + generated / (replicas * answers_per_second(shapes, device, assumptions))) / HOUR
