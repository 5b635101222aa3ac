"""The form in which a model is asked, in training and evaluation alike."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from schemas.base import Frozen
from schemas.profiles import BOXED, ProfileName


class Shot(Frozen):
    """A solved example that stands before each question (few-shot)."""

    prompt: str = Field(min_length=1)
    """The example's question."""
    completion: str = Field(min_length=1)
    """Its answer, as the model should write it."""


class Prompt(Frozen):
    """How a question becomes the model's input, and where its answer ends."""

    template: Literal["none", "chat"] = "none"
    """`chat` uses the chat template of the model's tokenizer; `none` gives the model plain text."""
    system: str | None = Field(None, min_length=1)
    """System instruction: the system turn of a chat, or a paragraph before a plain question."""
    suffix: str | None = None
    """Text after the question. Left out: a line break for plain text, nothing in a chat."""
    thinking: bool | None = None
    """`enable_thinking` of the chat template; left out, the template decides."""
    stop: tuple[str, ...] = Field((), max_length=8)
    """Texts that end an answer, besides the end tokens of tokenizer and `generation_config`."""
    shots: tuple[Shot, ...] = Field((), max_length=64)
    """Solved examples before each question, the same for every item."""

    @property
    def chat(self) -> bool:
        """Whether the chat template is used."""
        return self.template == "chat"

    @model_validator(mode="after")
    def _thinking_needs_a_template(self) -> Prompt:
        if self.thinking is not None and not self.chat:
            raise ValueError("thinking: only a chat template can enable it; say template: chat, or leave thinking out")
        if any(not text.strip() for text in self.stop):
            raise ValueError("stop: an empty or blank text would end every answer; leave it out")
        return self


PROFILE_PROMPTS: dict[ProfileName, Prompt] = {
    "plain": Prompt(),
    "thinking": Prompt(template="chat", suffix=f"\n{BOXED}", thinking=True),
}
"""The prompt of each profile."""
