"""From drawn rows to token batches: completion-only targets, rows of similar length together, nothing ever cut."""

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

HELD_ROWS = 128
"""Held-back rows that a checkpoint is judged on."""

IGNORED = -100
"""Target of a position that is not learnt: the prompt and the padding."""

Matrix = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Example:
    """One tokenised row."""

    tokens: tuple[int, ...]
    """Prompt and line break where there is a prompt, completion, end of sequence."""
    prompt: int
    """Tokens of the prompt and its line break, which are read but not learnt."""
    difficulty: int
    """1, 2 or 3; 0 where nobody has graded the row."""

    @property
    def learnt(self) -> int:
        """Tokens of the completion."""
        return len(self.tokens) - self.prompt


Batch = list[Example]


@dataclass(frozen=True)
class Data:
    """Everything a job trains on, decided before its first step: the cursor of a resumed job is its step."""

    batches: list[Batch]
    """One per optimizer step."""
    held: Batch
    """Rows never trained on."""
    too_long: int
    """Rows dropped for their length."""

    @property
    def tokens(self) -> int:
        """Tokens in the batches."""
        return sum(len(example.tokens) for batch in self.batches for example in batch)


def prepare(job: TrainingJob, tokenizer: Any) -> Data:
    """The job's batches and its held-back rows. Raises as `snapshot` and `draws` do."""
    recipe = job.recipe
    train, held = split(snapshot(job), job.seed)
    examples, too_long = _fitting(job, tokenizer, draws(recipe, train, job.seed), recipe.steps * recipe.batch)
    judged, _ = _fitting(job, tokenizer, draws(recipe, held, job.seed), HELD_ROWS)
    return Data(arrange(examples, recipe, job.seed), judged, too_long)


def _fitting(job: TrainingJob, tokenizer: Any, stream: Iterator[Draw], n: int) -> tuple[list[Example], int]:
    """The stream's next n examples of at most `max_length` tokens, and how many were longer."""
    fitting: list[Example] = []
    seen = 0
    while (missing := n - len(fitting)) > 0:
        encoded = encode(tokenizer, take(stream, missing), job.profile)
        fits = [example for example in encoded if len(example.tokens) <= job.max_length]
        if not fits and missing == n:
            raise RowsMissing(f"model.max_length: no row of the snapshot fits {job.max_length} tokens; raise it")
        fitting, seen = fitting + fits, seen + missing
    return fitting, seen - n


def encode(tokenizer: Any, drawn: Sequence[Draw], profile: ProfileName = "plain") -> list[Example]:
    """Tokenised rows. Prompt and completion are encoded apart, as they are when the model is asked.

    A plain text has no prompt, and is learnt whole. Whatever the tokenizer puts before a text (a BOS token) stands
    before the prompt, exactly as in evaluation.
    """
    questions = [question(row.prompt, profile, tokenizer) if row.prompt else "" for row, _ in drawn]
    prompts = _encode(tokenizer, questions, special=adds_special_tokens(profile))
    completions = _encode(tokenizer, [row.completion(traced=traced) for row, traced in drawn], special=False)
    end = tokenizer.eos_token_id
    return [
        Example((*prompt, *completion, end), len(prompt), row.difficulty)
        for (row, _), prompt, completion in zip(drawn, prompts, completions, strict=True)
    ]


def _encode(tokenizer: Any, texts: list[str], *, special: bool) -> list[list[int]]:
    """Token ids per text; a text that comes again (another epoch, another trace) is encoded once."""
    unique = list(dict.fromkeys(texts))
    encoded = tokenizer(unique, add_special_tokens=special, return_attention_mask=False)["input_ids"]
    known = dict(zip(unique, encoded, strict=True))
    return [known[text] for text in texts]


def arrange(examples: Sequence[Example], recipe: Recipe, seed: int) -> list[Batch]:
    """Batches in the recipe's order of difficulty.

    Buckets: within a window, of similar length and in random order. Packed rows need no padding, so they stay as drawn.
    """
    rng = np.random.default_rng([seed, 3])
    size, window = recipe.batch, recipe.batch * WINDOW
    ordered = curriculum(examples, recipe.curriculum)
    batches: list[Batch] = []
    if recipe.packing == "packed":
        return [ordered[i : i + size] for i in range(0, len(ordered), size)]
    for start in range(0, len(ordered), window):
        near = sorted(ordered[start : start + window], key=lambda example: len(example.tokens))
        cut = [near[i : i + size] for i in range(0, len(near), size)]
        batches += [cut[i] for i in rng.permutation(len(cut))]
    return batches


class Graded(Protocol):
    """Whatever has a difficulty."""

    @property
    def difficulty(self) -> int:
        """1, 2 or 3."""


G = TypeVar("G", bound=Graded)


def curriculum(examples: Sequence[G], order: str) -> list[G]:
    """The examples as drawn, or stably sorted by difficulty."""
    if order == "shuffled":
        return list(examples)
    return sorted(examples, key=lambda example: example.difficulty, reverse=order == "hard_first")


def pieces(batch: Batch, limit: int) -> list[Batch]:
    """The batch cut into runs of at most `limit` padded tokens (one row at least), for the accelerator's memory."""
    cut: list[Batch] = [[]]
    for example in batch:
        width = max(len(example.tokens), *(len(other.tokens) for other in cut[-1]), 1)
        if cut[-1] and width * (len(cut[-1]) + 1) > limit:
            cut.append([])
        cut[-1].append(example)
    return cut


def pad(batch: Batch, filler: int) -> tuple[Matrix, Matrix]:
    """Token ids and targets, each [rows, longest], padded on the right.

    Targets stand where their tokens stand (the shift is the loss's business) and are `IGNORED` on prompt and padding.
    In a causal model right padding is never attended to by a real token, so no attention mask is needed.
    """
    shape = (len(batch), max(len(example.tokens) for example in batch))
    ids, targets = np.full(shape, filler, np.int64), np.full(shape, IGNORED, np.int64)
    for row, example in enumerate(batch):
        length = len(example.tokens)
        ids[row, :length] = example.tokens
        targets[row, example.prompt : length] = example.tokens[example.prompt :]
    return ids, targets
