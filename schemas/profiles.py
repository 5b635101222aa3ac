"""How a model is asked, by name: the form of the question, and the settings that an inference engine is started with.

`plain` is a line of text. `thinking` is how the Nemotron Reasoning Challenge asks (its evaluation page): through the
model's own chat template, with room to think. Scores under different profiles are never compared (design rule 4).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Frozen, Share

ProfileName = Literal["plain", "thinking"]
"""Name of a profile."""

Count = Annotated[int, Field(ge=1)]

BOXED = "Please put your final answer inside `\\boxed{}`. For example: `\\boxed{your answer}`"
"""The request that the challenge puts after a problem."""


class Profile(Frozen):
    """One way of asking. Answers are always decoded greedily: temperature 0, top_p 1."""

    chat: bool
    """Whether the question goes through the tokenizer's chat template, with thinking enabled."""
    max_length: Count
    """Tokens of prompt and answer together, where the campaign does not say."""
    max_new_tokens: Count
    """Tokens of an answer, where the campaign does not say."""
    max_rank: Count
    """Highest LoRA rank that an engine makes room for."""
    max_sequences: Count
    """Sequences that an engine works on at a time: it changes the rounding, and greedy decoding follows it."""
    memory: Share
    """Share of an accelerator's memory that an engine takes."""


PROFILES: dict[ProfileName, Profile] = {
    "plain": Profile(chat=False, max_length=256, max_new_tokens=96, max_rank=256, max_sequences=64, memory=0.85),
    "thinking": Profile(chat=True, max_length=8192, max_new_tokens=7680, max_rank=32, max_sequences=64, memory=0.85),
}
"""All profiles."""
