"""From texts to the tokens that are read and learned: a question exactly as in evaluation, then its answer.

An answer is encoded in the place where it stands, as a model has met it in its texts: many tokenizers mark the first
word of a text. Where the tokens of question and answer would merge, or a template would change either, the answer is
encoded by itself, for the question's tokens must be those that evaluation asks with.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from schemas.prompts import Prompt
from services.runtime.prompting import (
    Question,
    control_tokens,
    conversation,
    conversation_ids,
    encode_all,
    plain_question,
    question_ids,
    turn_end,
)

PLAIN = Prompt()

Tokens = tuple[int, ...]


def question_tokens(tokenizer: Any, questions: Sequence[Question], form: Prompt) -> list[Tokens]:
    """The tokens before each answer; a question that occurs again is encoded once. An empty one begins a text.

    Raises `ChatTemplateMissing`.
    """
    keys = [_key(question) for question in questions]
    unique = dict(zip(keys, questions, strict=True))
    if form.chat:
        ids = {key: question_ids(question, form, tokenizer) if question else [] for key, question in unique.items()}
    else:
        ids = _encoded(tokenizer, {key: _plain(question, form) for key, question in unique.items()}, special=True)
    return [tuple(ids[key]) for key in keys]


def pair_tokens(
    tokenizer: Any, questions: Sequence[Question], answers: Sequence[str], form: Prompt
) -> list[tuple[Tokens, Tokens]]:
    """The tokens before each answer, and those of the answer with its end: that of a turn, or of a plain text.

    Raises `ChatTemplateMissing` or `EndTokenMissing`.
    """
    prompts = question_tokens(tokenizer, questions, form)
    ends = {
        asked: turn_end(tokenizer, form if asked else PLAIN) for asked in {bool(question) for question in questions}
    }
    keys = [(_key(question), answer) for question, answer in zip(questions, answers, strict=True)]
    unique = dict(zip(keys, zip(questions, answers, prompts, strict=True), strict=True))
    ids = _turns_in_place(tokenizer, unique, form) if form.chat else _texts_in_place(tokenizer, unique, form)
    alone = _encoded(
        tokenizer, {key: answer for key, (_, answer, _) in unique.items() if key not in ids}, special=False
    )
    return [
        (prompt, (*(ids[key] if key in ids else alone[key]), *ends[bool(question)]))
        for key, question, prompt in zip(keys, questions, prompts, strict=True)
    ]


Key = tuple[str, str]
Pairs = dict[Key, tuple[Question, str, Tokens]]
"""Question, answer, and the question's tokens."""


def _texts_in_place(tokenizer: Any, pairs: Pairs, form: Prompt) -> dict[Key, Tokens]:
    """The tokens of plain answers after their questions; those are left out whose questions get other tokens."""
    whole = _encoded(
        tokenizer, {key: _plain(question, form) + answer for key, (question, answer, _) in pairs.items()}, special=True
    )
    return {
        key: tuple(whole[key][len(prompt) :])
        for key, (_, _, prompt) in pairs.items()
        if tuple(whole[key][: len(prompt)]) == prompt
    }


def _turns_in_place(tokenizer: Any, pairs: Pairs, form: Prompt) -> dict[Key, Tokens]:
    """The tokens of answers as the template writes them after its questions; those that it changes are left out."""
    ids: dict[Key, Tokens] = {}
    end = turn_end(tokenizer, form)[-1]
    special = set(tokenizer.convert_tokens_to_ids(control_tokens(tokenizer)))
    for key, (question, answer, prompt) in pairs.items():
        if not question:
            continue
        turns = [*conversation(question, form), {"role": "assistant", "content": answer}]
        whole = tuple(conversation_ids(tokenizer, turns, form, add_generation_prompt=False))
        rest = whole[len(prompt) :]
        if whole[: len(prompt)] != prompt or end not in rest:
            continue
        content = rest[: rest.index(end)]
        if not special & set(content) and tokenizer.decode(content).strip() == answer.strip():
            ids[key] = content
    return ids


def _encoded(tokenizer: Any, texts: dict[Any, str], *, special: bool) -> dict[Any, list[int]]:
    return dict(zip(texts, encode_all(tokenizer, list(texts.values()), special=special), strict=True)) if texts else {}


def _plain(question: Question, form: Prompt) -> str:
    return plain_question(question, form) if question else ""


def _key(question: Question) -> str:
    return question if isinstance(question, str) else json.dumps(question)
