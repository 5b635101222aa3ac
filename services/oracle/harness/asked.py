"""What a model is asked, as tokens, and where its answer ends: one rule for every engine.

lm-eval passes texts from a task to a model. A question is therefore a text that carries its tokens: an engine feeds
exactly these, so that no text of an item becomes a control token and a text begins once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import torch

from schemas.prompts import Prompt
from services.runtime.prompting import Question, encode_all, plain_question, question, question_ids


class Asked(str):  # noqa: SLOT000 - a text with an attribute
    """A question as text, with the tokens that the model reads."""

    ids: tuple[int, ...]

    def __new__(cls, text: str, ids: Iterable[int]) -> Self:
        """The question of these tokens."""
        asked = super().__new__(cls, text)
        asked.ids = tuple(ids)
        return asked


def ask(prompts: Sequence[Question], form: Prompt, tokenizer: Any) -> list[Asked]:
    """The questions of prompts in a form. Raises `ChatTemplateMissing`."""
    if form.chat:
        return [Asked(question(prompt, form, tokenizer), question_ids(prompt, form, tokenizer)) for prompt in prompts]
    texts = [plain_question(prompt, form) for prompt in prompts]
    return [Asked(text, ids) for text, ids in zip(texts, encode_all(tokenizer, texts, special=True), strict=True)]


def cut(text: str, stop: Sequence[str]) -> str:
    """A text up to the first of its stop texts."""
    places = [place for one in stop if (place := text.find(one)) >= 0]
    return text[: min(places)] if places else text


def appends_end(tokenizer: Any) -> bool:
    """Whether a tokenizer ends every text with its end token."""
    return bool(tokenizer("a")["input_ids"][-1:] == [tokenizer.eos_token_id])


def padded(rows: Sequence[Sequence[int]], filler: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask of several prompts, padded on the left, each [rows, longest]."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), filler)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(rows):
        ids[at, longest - len(row) :] = torch.tensor(list(row), dtype=ids.dtype)
        mask[at, longest - len(row) :] = 1
    return ids, mask


def without_rest(written: torch.Tensor, ends: torch.Tensor, filler: int) -> torch.Tensor:
    """Answers [rows, tokens] with the filler in place of each one's first end token and all that follows."""
    ended = torch.isin(written, ends).cumsum(-1) > 0
    return written.masked_fill(ended, filler)
