"""What a plan must know of a training method and an adapter form: `sizing` itself knows none by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from schemas.recipe import Recipe


@dataclass(frozen=True)
class Traits:
    """Whatever decides memory and time besides the model's shapes and the recipe's numbers."""

    every_weight: bool = False
    """Whether every weight is trained, in single precision; else an adapter on the recipe's target modules."""
    four_bits: bool = False
    """Whether the base's linear layers are held in 4 bits."""
    answers: int = 0
    """Answers that the model generates in training per row of a batch; 0 where it generates none."""
    sequences: int = 1
    """Sequences that the method learns from per row of a batch."""
    reference: bool = False
    """Whether the base computes each sequence, too."""
    shardable: bool = True
    """Whether several devices can hold the model together (`sharding: fsdp`)."""


TraitsOf = Callable[[Recipe], Traits]
"""The traits of a recipe's method and adapter form."""
