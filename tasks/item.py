"""One item: what is asked, what is right, and how one gets there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Message = Mapping[str, str]
"""One turn of a conversation: `role` and `content`."""


@dataclass(frozen=True)
class Item:
    """A question with its answer. Two items of a domain with the same core are the same, however they are worded."""

    domain: str
    """Domain: a puzzle family, or what the suite's items name."""
    difficulty: int
    """1 (easy), 2 or 3; 0 where the suite is not graded."""
    wording: int
    """0 (terse, dev's), 1 or 2; 0 where the suite has no wordings."""
    prompt: str
    """The question as the model reads it, without the final line break; of a conversation, the text of its turns."""
    answer: str
    """The right answer; empty where the scorer needs none."""
    trace: str
    """The worked steps that lead to it, without the answer's box."""
    core: str
    """The content without the wording: it decides the split."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Further columns of the record, which the scorers get: JSON values."""
    messages: tuple[Message, ...] = ()
    """The conversation up to the turn that is asked for; empty where the prompt is all there is."""

    @property
    def id(self) -> str:
        """Stable id of the worded item."""
        return hashlib.sha256(f"{self.domain}|{self.wording}|{self.core}".encode()).hexdigest()[:16]

    @property
    def question(self) -> str | tuple[Message, ...]:
        """What the model is asked: the conversation, or the prompt."""
        return self.messages or self.prompt

    def completion(self, *, traced: bool) -> str:
        """What the model is trained to write to a puzzle: the trace if wanted, then the boxed answer."""
        boxed = f"\\boxed{{{self.answer}}}"
        return f"{self.trace} {boxed}" if traced else boxed
