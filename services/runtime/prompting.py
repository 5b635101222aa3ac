"""How a prompt becomes the model's input: one rule for training and for evaluation.

That includes the token that begins a text (BOS). lm-eval's `add_bos_token` asks the tokenizer for it and silently does
nothing where the tokenizer cannot give it; a small model then loses ten points.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schemas.profiles import BOXED, PROFILES, ProfileName

BOS_NAMES = ("<s>", "bos", "begin", "startoftext")
"""Parts of a token's name which mean that the token only ever begins a text."""

BOS_REMEDY = (
    "give tokenizer.json a post-processor that does, or say add_bos_token: false in tokenizer_config.json if the model "
    "was trained without"
)


class ChatTemplateMissing(Exception):
    """The profile uses a chat template, and the base model's tokenizer has none."""


def question(prompt: str, profile: ProfileName, tokenizer: Any) -> str:
    """The model's input before its answer.

    Plain: the prompt and a line break. Thinking: the prompt with the challenge's request, in the tokenizer's chat
    template with `enable_thinking`, up to where the answer begins. Raises `ChatTemplateMissing`.
    """
    if not PROFILES[profile].chat:
        return plain_question(prompt)
    if not tokenizer.chat_template:
        raise ChatTemplateMissing(
            f"model.profile: {profile} needs a chat template, and the tokenizer of model.base has none; name a "
            "chat model, or set profile: plain"
        )
    text: str = tokenizer.apply_chat_template(
        conversation(prompt), tokenize=False, add_generation_prompt=True, enable_thinking=True
    )
    return text


def conversation(prompt: str) -> list[dict[str, str]]:
    """The input of a chat template."""
    return [{"role": "user", "content": f"{prompt}\n{BOXED}"}]


def plain_question(prompt: str) -> str:
    """The prompt and a line break."""
    return f"{prompt}\n"


def adds_special_tokens(profile: ProfileName) -> bool:
    """Whether the tokenizer adds its special tokens to a question: a chat template has written them already."""
    return not PROFILES[profile].chat


def bos_missing(base: Path, tokenizer: Any) -> bool:
    """Whether the tokenizer of a model's folder omits the BOS token that the model expects."""
    return bos_expected(base, tokenizer) and tokenizer("a")["input_ids"][:1] != [tokenizer.bos_token_id]


def bos_expected(base: Path, tokenizer: Any) -> bool:
    """Whether the model was trained on texts that begin with a BOS token.

    Many models were not, and name as BOS the token that separates texts or opens a turn. So `add_bos_token` of the
    tokenizer decides; without it, a token that only ever begins a text counts if the chat template uses it.
    """
    bos = tokenizer.bos_token_id
    config = _read(base / "config.json")
    if bos in (None, tokenizer.eos_token_id) or bos != {**config, **config.get("text_config", {})}.get("bos_token_id"):
        return False
    if (setting := _read(base / "tokenizer_config.json").get("add_bos_token")) is not None:
        return bool(setting)
    name, template = tokenizer.bos_token, tokenizer.chat_template
    only_begins = any(part in name.lower() for part in BOS_NAMES)
    return only_begins and (template is None or "bos_token" in template or name in template)


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return content
