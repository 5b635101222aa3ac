"""Memory of one device while it trains: what stays throughout, and what a forward and backward pass adds.

Weights, gradients and AdamW's two moments are those of the trainer: an adapter in single precision beside a base in
bfloat16 (or 4 bits), or all weights in single precision. FSDP gives each device its share of them (Zhao et al., arXiv
2304.11277) and gathers one block at a time, prefetching the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from schemas.recipe import Recipe
from sizing.activations import HALF, LOGITS, body_bytes, pass_format
from sizing.parts import HEAD, SINGLE
from sizing.shapes import Shapes, parameters
from sizing.traits import Traits

MICRO_TOKENS = 16_384
"""Tokens of one forward pass, as the trainer cuts its batches; a longer row has a pass of its own."""

NF4 = 0.516
"""Bytes of a weight in 4 bits, 0.127 bits of constants included (QLoRA, arXiv 2305.14314, section 3)."""

AT_ONCE = 64
"""Answers that the oracle generates side by side."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one device."""

    weights: int
    """Its share of the base and of the adapter."""
    gradients: int
    """Gradients of its share of the trained weights."""
    optimizer: int
    """AdamW's two moments of that share."""
    gathered: int
    """Weights gathered from the other devices for a pass; 0 where each device holds all."""
    activations: int
    """What the forward pass keeps for the backward pass."""
    logits: int
    """Logits of one pass, at the peak of the loss."""
    cache: int
    """Keys, values and states while the method generates answers; 0 where it generates none."""

    @property
    def total(self) -> int:
        """The peak: training passes and generation alternate."""
        resident = self.weights + self.gradients + self.optimizer + self.gathered
        return resident + max(self.activations + self.logits, self.cache)


def training(shapes: Shapes, recipe: Recipe, traits: Traits, max_length: int, *, half: bool = True) -> Memory:
    """Memory of the busiest device of a recipe's training, with sequences of up to `max_length` tokens.

    `half`: bfloat16, the format of an accelerator; on a processor everything is in single precision.
    """
    width, parts = HALF if half else SINGLE, recipe.devices if recipe.sharding == "fsdp" else 1
    trained = trained_weights(shapes, recipe, traits)
    tokens = pass_tokens(recipe, max_length, traits.sequences)
    body = body_bytes(
        shapes, pass_format(recipe, traits, half=half), tokens, recomputed=recipe.activations == "recomputed"
    )
    base = base_bytes(shapes, traits, width)
    return Memory(
        weights=ceil((base + (0 if traits.every_weight else SINGLE * trained)) / parts),
        gradients=ceil(SINGLE * trained / parts),
        optimizer=ceil(2 * SINGLE * trained / parts),
        gathered=_gathered(shapes, recipe, traits, width) if parts > 1 else 0,
        activations=body,
        logits=LOGITS * shapes.vocabulary * tokens,
        cache=shapes.cache(max_length, width) * answers(recipe, traits),
    )


def evaluation(shapes: Shapes, max_length: int, *, half: bool = True) -> int:
    """Bytes that the oracle needs on one device: the model, and the cache of `AT_ONCE` answers."""
    width = HALF if half else SINGLE
    return width * shapes.total + AT_ONCE * (shapes.cache(max_length, width) + LOGITS * shapes.vocabulary)


def trained_weights(shapes: Shapes, recipe: Recipe, traits: Traits) -> int:
    """Number of weights that a recipe trains."""
    return shapes.total if traits.every_weight else shapes.adapter(recipe.target_modules, recipe.rank)


def pass_tokens(recipe: Recipe, max_length: int, sequences: int = 1) -> int:
    """Tokens of a device's largest forward pass: its share of a batch, at most what the trainer puts into one pass.

    `sequences` of a row are in one pass.
    """
    share = ceil(recipe.batch / recipe.devices) * max_length * sequences
    return min(share, max(MICRO_TOKENS, max_length * sequences))


def answers(recipe: Recipe, traits: Traits) -> int:
    """Answers that a device generates side by side in training, at most `AT_ONCE`."""
    return min(ceil(recipe.batch / recipe.devices) * traits.answers, AT_ONCE)


def base_bytes(shapes: Shapes, traits: Traits, width: int) -> float:
    """Bytes of the base's weights, `width` each; in 4 bits only the linear layers of its blocks."""
    if traits.every_weight:
        return SINGLE * shapes.total
    if not traits.four_bits:
        return width * shapes.total
    quantised = sum(m.total for m in shapes.matrices() if m.linear and m.name != HEAD)
    return NF4 * quantised + width * (shapes.total - quantised)


def _gathered(shapes: Shapes, recipe: Recipe, traits: Traits, width: int) -> int:
    """The two largest blocks and the weights outside the blocks; at most what the other devices hold."""
    largest = sorted((parameters(block) for block in shapes.blocks), reverse=True)[:2]
    gathered = (sum(largest) + shapes.outside) * (SINGLE if traits.every_weight else width)
    others = base_bytes(shapes, traits, width) * (1 - 1 / recipe.devices)
    return ceil(min(gathered, others))
