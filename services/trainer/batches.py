"""From drawn rows to token batches: completion-only targets, rows of similar length together, no row truncated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from schemas.profiles import ProfileName
from schemas.recipe import Recipe
from services.runtime.prompting import adds_special_tokens, question
from services.trainer.job import RowsMissing, TrainingJob
from services.trainer.rows import Draw, draws, snapshot, split, take

WINDOW = 16
"""Batches whose rows are sorted by length together: enough to save most padding, little enough to keep the order."""

HELD_OUT_ROWS = 128
"""Held-out rows that measure a checkpoint."""

IGNORED = -100
"""Target of a position that is not learned: the prompt and the padding."""

Matrix = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Example:
    """One tokenised row."""

    tokens: tuple[int, ...]
    """Prompt and line break where there is a prompt, completion, end of sequence."""
    prompt: int
    """Tokens of the prompt and its line break, which are read but not learned."""
    difficulty: int
    """1, 2 or 3; 0 if the row is ungraded."""

    @property
    def learned(self) -> int:
        """Tokens of the completion."""
        return len(self.tokens) - self.prompt


Batch = list[Example]


@dataclass(frozen=True)
class Data:
    """All data of a job, decided before its first step: the cursor of a resumed job is its step."""

    batches: list[Batch]
    """One per optimizer step."""
    held_out: Batch
    """Rows never trained on."""
    too_long: int
    """Rows dropped for their length."""

    @property
    def tokens(self) -> int:
        """Tokens in the batches."""
        return sum(len(example.tokens) for batch in self.batches for example in batch)


def prepare(job: TrainingJob, tokenizer: Any) -> Data:
    """The job's batches and its held-out rows. Raises `RowsMissing`, and as `snapshot` does."""
    recipe = job.recipe
    train, held_out = split(snapshot(job), job.seed)
    examples, too_long = _fitting(job, tokenizer, draws(recipe, train, job.seed), recipe.steps * recipe.batch)
    measured, _ = _fitting(job, tokenizer, draws(recipe, held_out, job.seed), HELD_OUT_ROWS)
    return Data(arrange(examples, recipe, job.seed), measured, too_long)


def _fitting(job: TrainingJob, tokenizer: Any, stream: Iterator[Draw], n: int) -> tuple[list[Example], int]:
    """The stream's next n examples of at most `max_length` tokens, and how many were longer."""
    fitting: list[Example] = []
    row_count = 0
    while (missing := n - len(fitting)) > 0:
        encoded = encode(tokenizer, take(stream, missing), job.profile)
        more = [example for example in encoded if len(example.tokens) <= job.max_length]
        if not more and missing == n:
            raise RowsMissing(f"model.max_length: no row of the snapshot fits {job.max_length} tokens; raise it")
        fitting, row_count = fitting + more, row_count + missing
    return fitting, row_count - n


def encode(tokenizer: Any, pairs: Sequence[Draw], profile: ProfileName = "plain") -> list[Example]:
    """Tokenised rows. Prompt and completion are encoded separately, as in evaluation.

    A row without prompt is plain text, learned in full. The token that the tokenizer puts before a text (BOS) stands
    before the prompt, exactly as in evaluation.
    """
    questions = [question(row.prompt, profile, tokenizer) if row.prompt else "" for row, _ in pairs]
    prompts = _encode(tokenizer, questions, special=adds_special_tokens(profile))
    completions = _encode(tokenizer, [row.completion(traced=traced) for row, traced in pairs], special=False)
    end = tokenizer.eos_token_id
    return [
        Example((*prompt, *completion, end), len(prompt), row.difficulty)
        for (row, _), prompt, completion in zip(pairs, prompts, completions, strict=True)
    ]


def _encode(tokenizer: Any, texts: list[str], *, special: bool) -> list[list[int]]:
    """Token ids per text; a text that occurs again (another epoch) is encoded once."""
    unique = list(dict.fromkeys(texts))
    encoded = tokenizer(unique, add_special_tokens=special, return_attention_mask=False)["input_ids"]
    ids = dict(zip(unique, encoded, strict=True))
    return [ids[text] for text in texts]


def arrange(examples: Sequence[Example], recipe: Recipe, seed: int) -> list[Batch]:
    """Batches in the recipe's order of difficulty.

    Buckets: rows of similar length, in random order within a window. Packed rows need no padding and keep their order.
    """
    rng = np.random.default_rng([seed, 3])
    size, window = recipe.batch, recipe.batch * WINDOW
    ordered = curriculum(examples, recipe.curriculum)
    batches: list[Batch] = []
    if recipe.packing == "packed":
        return [ordered[i : i + size] for i in range(0, len(ordered), size)]
    for start in range(0, len(ordered), window):
        window_rows = sorted(ordered[start : start + window], key=lambda example: len(example.tokens))
        cut = [window_rows[i : i + size] for i in range(0, len(window_rows), size)]
        batches += [cut[i] for i in rng.permutation(len(cut))]
    return batches


class Graded(Protocol):
    """An object with a difficulty."""

    @property
    def difficulty(self) -> int:
        """1, 2 or 3."""


G = TypeVar("G", bound=Graded)


def curriculum(examples: Sequence[G], order: str) -> list[G]:
    """The examples in drawn order, or stably sorted by difficulty."""
    if order == "shuffled":
        return list(examples)
    return sorted(examples, key=lambda example: example.difficulty, reverse=order == "hard_first")


def pieces(batch: Batch, limit: int) -> list[Batch]:
    """The batch cut into runs of at most `limit` padded tokens, but one row at least, to fit the device's memory."""
    cut: list[Batch] = [[]]
    for example in batch:
        width = max(len(example.tokens), *(len(other.tokens) for other in cut[-1]), 1)
        if cut[-1] and width * (len(cut[-1]) + 1) > limit:
            cut.append([])
        cut[-1].append(example)
    return cut


def pad(batch: Batch, filler: int) -> tuple[Matrix, Matrix]:
    """Token ids and targets, each [rows, longest], padded on the right.

    Targets are not shifted (the loss shifts them) and are `IGNORED` on prompt and padding. In a causal model no real
    token attends to padding on the right, so no attention mask is needed.
    """
    shape = (len(batch), max(len(example.tokens) for example in batch))
    ids, targets = np.full(shape, filler, np.int64), np.full(shape, IGNORED, np.int64)
    for row, example in enumerate(batch):
        length = len(example.tokens)
        ids[row, :length] = example.tokens
        targets[row, example.prompt : length] = example.tokens[example.prompt :]
    return ids, targets
