"""How a prompt becomes what a model reads, for those who train it and those who measure it: both must say the same."""

from __future__ import annotations

from typing import Any

from schemas.profiles import BOXED, PROFILES, ProfileName


class ChatTemplateMissing(Exception):
    """The profile asks through a chat template, and the base model's tokenizer has none."""


def question(prompt: str, profile: ProfileName, tokenizer: Any) -> str:
    """What the model reads before it answers.

    Plain: the prompt and a line break. Thinking: the prompt with the challenge's request, in the tokenizer's chat
    template with `enable_thinking`, up to where the answer begins. Raises `ChatTemplateMissing`.
    """
    if not PROFILES[profile].chat:
        return plain(prompt)
    if not tokenizer.chat_template:
        raise ChatTemplateMissing(
            f"model.profile: {profile} asks through a chat template, and the tokenizer of model.base has none; name a "
            "chat model, or say profile: plain"
        )
    asked: str = tokenizer.apply_chat_template(
        conversation(prompt), tokenize=False, add_generation_prompt=True, enable_thinking=True
    )
    return asked


def conversation(prompt: str) -> list[dict[str, str]]:
    """What a chat template is given."""
    return [{"role": "user", "content": f"{prompt}\n{BOXED}"}]


def plain(prompt: str) -> str:
    """The prompt and a line break."""
    return f"{prompt}\n"


def special(profile: ProfileName) -> bool:
    """Whether the tokenizer adds its special tokens to a question: a chat template has written them already."""
    return not PROFILES[profile].chat
