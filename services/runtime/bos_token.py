"""Whether a tokenizer leaves out the token with which its model's texts begin, one rule for training and evaluation.

lm-eval's `add_bos_token` asks the tokenizer for that token, and does nothing, silently, where the tokenizer cannot give
it; a small model then loses ten points.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ALONE = ("<s>", "bos", "begin", "startoftext")
"""Parts of the name of a token that can be nothing but the beginning of a text."""

REMEDY = (
    "give tokenizer.json a post-processor that does, or say add_bos_token: false in tokenizer_config.json if the model "
    "was trained without"
)


def left_out(base: Path, tokenizer: Any) -> bool:
    """Whether the tokenizer of a model's folder does not begin a text as the model expects."""
    return expected(base, tokenizer) and tokenizer("a")["input_ids"][:1] != [tokenizer.bos_token_id]


def expected(base: Path, tokenizer: Any) -> bool:
    """Whether the model was made for texts with a beginning of their own.

    Many models have none, and name for it the token that separates texts, or that opens a turn. So the tokenizer's own
    word counts first; then, of a token that is nothing but a beginning, whether the chat template uses it.
    """
    bos = tokenizer.bos_token_id
    if bos in (None, tokenizer.eos_token_id) or bos != _of_model(base):
        return False
    if (said := _read(base / "tokenizer_config.json").get("add_bos_token")) is not None:
        return bool(said)
    name, template = tokenizer.bos_token, tokenizer.chat_template
    alone = any(part in name.lower() for part in ALONE)
    return alone and (template is None or "bos_token" in template or name in template)


def _of_model(base: Path) -> int | None:
    """The token that the model's own configuration names."""
    config = _read(base / "config.json")
    named: int | None = {**config, **config.get("text_config", {})}.get("bos_token_id")
    return named


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found
