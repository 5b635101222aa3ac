"""Memory of one device while it trains: what lies there throughout, and what comes and goes with a pass.

Weights, gradients and AdamW's two moments are those of the trainer: an adapter in single precision beside a base in
bfloat16 (or 4 bits), or all weights in single precision. FSDP leaves each device its share of them (Zhao et al., arXiv
2304.11277), and lends it one block at a time, the next while the last is in use.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from schemas.recipe import Recipe
from sizing.activations import HALF, LOGITS, body_bytes, kept
from sizing.parts import SINGLE
from sizing.shapes import HEAD, Shapes, parameters

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
    """Its share of the base, and of the adapter."""
    gradients: int
    """Of its share of what is trained."""
    optimizer: int
    """AdamW's two moments of that."""
    gathered: int
    """Weights that it borrows from the other devices for a pass; 0 where each has all."""
    activations: int
    """What the forward pass keeps for the backward pass."""
    logits: int
    """Of one pass, at the peak of the loss."""
    cache: int
    """Keys, values and states of answers in generation: of GRPO's, else 0."""

    @property
    def total(self) -> int:
        """The peak: a pass and the generation of answers follow one another."""
        resident = self.weights + self.gradients + self.optimizer + self.gathered
        return resident + max(self.activations + self.logits, self.cache)


def training(shapes: Shapes, recipe: Recipe, max_length: int, *, half: bool = True) -> Memory:
    """Memory of the busiest device of a recipe's training, with sequences of up to `max_length` tokens.

    `half` is the accelerator's number format, bfloat16; on a processor all is in single precision.
    """
    width, parts = HALF if half else SINGLE, _parts(recipe)
    trained = shapes.total if recipe.adapter == "full" else shapes.adapter(recipe.target_modules, recipe.rank)
    tokens = pass_tokens(recipe, max_length)
    how = kept(recipe, half=half)
    body = body_bytes(shapes, how, tokens, recomputed=recipe.activations == "recomputed")
    return Memory(
        weights=ceil((_base(shapes, recipe, width) + (0 if recipe.adapter == "full" else SINGLE * trained)) / parts),
        gradients=ceil(SINGLE * trained / parts),
        optimizer=ceil(2 * SINGLE * trained / parts),
        gathered=_gathered(shapes, recipe, width) if parts > 1 else 0,
        activations=body,
        logits=LOGITS * shapes.vocabulary * tokens,
        cache=shapes.cache(max_length, width) * answers(recipe) if recipe.method == "grpo" else 0,
    )


def evaluation(shapes: Shapes, max_length: int, *, half: bool = True) -> int:
    """Bytes that the oracle needs on one device: the model, and the cache of the answers in generation."""
    width = HALF if half else SINGLE
    return width * shapes.total + AT_ONCE * (shapes.cache(max_length, width) + LOGITS * shapes.vocabulary)


def pass_tokens(recipe: Recipe, max_length: int) -> int:
    """Tokens of a device's largest forward pass: its share of a batch, at most what the trainer puts into one pass."""
    share = ceil(recipe.batch / recipe.devices) * max_length
    return min(share, max(MICRO_TOKENS, max_length))


def answers(recipe: Recipe) -> int:
    """Answers that a device generates side by side in GRPO: groups for its share of the batch, at most `AT_ONCE`."""
    return min(ceil(recipe.batch / recipe.devices) * recipe.group, AT_ONCE)


def _parts(recipe: Recipe) -> int:
    return recipe.devices if recipe.sharding == "fsdp" else 1


def _base(shapes: Shapes, recipe: Recipe, width: int) -> float:
    """Bytes of the base: of the linear layers of its blocks in 4 bits where the recipe says so."""
    if recipe.adapter == "full":
        return SINGLE * shapes.total
    if recipe.adapter == "lora":
        return width * shapes.total
    quantised = sum(m.total for m in shapes.matrices() if m.linear and m.name != HEAD)
    return NF4 * quantised + width * (shapes.total - quantised)


def _gathered(shapes: Shapes, recipe: Recipe, width: int) -> int:
    """Two blocks, and what lies outside the blocks, which stays for the whole pass; at most what the others hold."""
    largest = sorted((parameters(block) for block in shapes.blocks), reverse=True)[:2]
    lent = (sum(largest) + shapes.outside) * (SINGLE if recipe.adapter == "full" else width)
    others = _base(shapes, recipe, width) * (1 - 1 / recipe.devices)
    return ceil(min(lent, others))
