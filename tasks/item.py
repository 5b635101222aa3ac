"""One puzzle: what is asked, what is right, and how one gets there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """A puzzle of one family. Two items with the same core are the same puzzle, however it is worded."""

    domain: str
    """Family, one of `schemas.campaign.DOMAINS`."""
    difficulty: int
    """1 (easy), 2 or 3."""
    wording: int
    """0 (terse, dev's), 1 or 2."""
    prompt: str
    """The question as the model reads it, without the final line break."""
    answer: str
    """The right answer."""
    trace: str
    """The worked steps that lead to it, without the answer's box."""
    core: str
    """The content without the wording: what decides the split."""

    @property
    def id(self) -> str:
        """Stable id of the worded item."""
        return hashlib.sha256(f"{self.domain}|{self.wording}|{self.core}".encode()).hexdigest()[:16]

    def completion(self, *, traced: bool) -> str:
        """What the model is trained to write after the prompt: the trace if wanted, then the boxed answer."""
        boxed = f"\\boxed{{{self.answer}}}"
        return f"{self.trace} {boxed}" if traced else boxed
