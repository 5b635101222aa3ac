"""What a model is asked where its answers are rewarded: the recipe's rows that have an answer to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.profiles import PROFILES, ProfileName
from services.runtime.prompting import conversation, plain_question
from services.trainer.batches import encode
from services.trainer.job import RowsMissing, TrainingJob
from services.trainer.rows import Draw, take


@dataclass(frozen=True)
class Question:
    """One row without its completion."""

    prompt: str
    """The row's prompt."""
    asked: str | list[dict[str, str]]
    """What the model is asked, as in the other method and in evaluation: a text, or what a chat template is given."""
    tokens: tuple[int, ...]
    """The same in tokens."""
    answer: str
    """What the verifier accepts."""
    difficulty: int
    """1, 2 or 3."""


def questions(job: TrainingJob, tokenizer: Any, stream: Iterator[Draw], n: int) -> tuple[list[Question], int]:
    """The stream's next n rows that can be rewarded and leave room for an answer, and how many were too long.

    Raises `RowsMissing` where none of as many rows is such.
    """
    room = job.max_length - job.max_new_tokens
    kept: list[Question] = []
    too_long = 0
    while len(kept) < n:
        drawn = [draw for draw in take(stream, n - len(kept)) if draw[0].answer]
        asked = [
            Question(
                row.prompt,
                _asked(row.prompt, job.profile),
                example.tokens[: example.prompt],
                row.answer,
                row.difficulty,
            )
            for (row, _), example in zip(drawn, encode(tokenizer, drawn, job.profile), strict=True)
        ]
        fitting = [question for question in asked if len(question.tokens) <= room]
        too_long += len(asked) - len(fitting)
        if not fitting and not kept:
            raise RowsMissing(
                f"recipe.method: grpo needs rows with an answer whose prompt fits {room} tokens (model.max_length "
                f"{job.max_length} less max_new_tokens {job.max_new_tokens}); the snapshot gave none"
            )
        kept += fitting
    return kept, too_long


def _asked(prompt: str, profile: ProfileName) -> str | list[dict[str, str]]:
    return conversation(prompt) if PROFILES[profile].chat else plain_question(prompt)
