"""From drawn rows to token batches: completion-only targets, rows of similar length together.

No row loses its end: a row longer than the model's length is dropped, and a plain text is learned in several pieces.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from schemas.prompts import Prompt
from schemas.recipe import Recipe
from schemas.rows import Row
from services.runtime.prompting import Question
from services.trainer.encoding import PLAIN, Tokens, pair_tokens
from services.trainer.job import TrainingJob
from services.trainer.rows import Cell, Draw, LeftOut, Sieve, draws, snapshot, split, steps

WINDOW = 16
"""Batches whose rows are sorted by length together: enough to save most padding, little enough to keep the order."""

HELD_OUT_ROWS = 128
"""Held-out rows that measure a checkpoint."""

IGNORED = -100
"""Target of a position that is not learned: the prompt and the padding."""

Matrix = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Example:
    """One tokenised sequence: a row, or turns of a conversation."""

    tokens: Tokens
    """Prompt, completion and its end; of a conversation, several in turn."""
    spans: tuple[tuple[int, int], ...]
    """First position of each completion, and the position after its end."""
    difficulty: int
    """1, 2 or 3; 0 if the row is ungraded."""

    @property
    def prompt(self) -> int:
        """Tokens before the first completion: they are read but not learned."""
        return self.spans[0][0]

    @property
    def learned(self) -> int:
        """Tokens of the completions."""
        return sum(end - begin for begin, end in self.spans)

    @property
    def size(self) -> int:
        """Number of tokens."""
        return len(self.tokens)


Batch = list[Example]


@dataclass(frozen=True)
class Data:
    """All data of a job, decided before its first step: the cursor of a resumed job is its step."""

    batches: list[Batch]
    """One per optimizer step."""
    held_out: Batch
    """Rows never trained on."""
    too_long: int
    """Draws dropped for their length."""
    left_out: LeftOut = field(default_factory=LeftOut)
    """The rows that were not used."""

    @property
    def tokens(self) -> int:
        """Tokens in the batches."""
        return sum(len(example.tokens) for batch in self.batches for example in batch)


def prepare(job: TrainingJob, tokenizer: Any) -> Data:
    """The job's batches and its held-out rows. Raises `RowsMissing`, `RowsTooLong`, and as `snapshot` does."""
    recipe, cells, texts = job.recipe, snapshot(job), Texts(tokenizer, job.max_length)
    train, held_out = (texts.repeated(part, job.seed) for part in split(cells, job.seed))

    def sieve() -> Sieve[Example]:
        missing = f"model.max_length: no row of the snapshot fits {job.max_length} tokens; raise it"
        return Sieve(lambda pairs: texts.next_pieces(pairs, job.prompt), job.max_length, missing)

    kept = sieve()
    examples = kept.take(draws(recipe, train, job.seed), steps(recipe, texts.repeated(cells, job.seed)) * recipe.batch)
    kept.check_domains(recipe, train)
    measured = sieve().take(draws(recipe, held_out, job.seed), HELD_OUT_ROWS)
    return Data(arrange(examples, recipe, job.seed), measured, kept.too_long, kept.left_out)


class Texts:
    """Cuts plain texts of more than `limit` tokens into pieces of nearly equal length: each draw gives the next one.

    So a recipe's mix holds for sequences, and an epoch shows every token of a text once. Each piece follows the token
    that begins a text, and only the last one has an end.
    """

    def __init__(self, tokenizer: Any, limit: int) -> None:
        self.tokenizer, self.limit = tokenizer, limit
        self._counts: dict[Row, int] = {}
        self._remaining: defaultdict[Row, deque[Example]] = defaultdict(deque)

    def repeated(self, cells: Mapping[Cell, Sequence[Row]], seed: int) -> dict[Cell, list[Row]]:
        """The cells with each text as often as it has pieces, in a random order where any has several."""
        rng = np.random.default_rng([seed, 4])
        result: dict[Cell, list[Row]] = {}
        for cell, rows in cells.items():
            entries = [row for row in rows for _ in range(self._count(row))]
            result[cell] = entries if len(entries) == len(rows) else [entries[i] for i in rng.permutation(len(entries))]
        return result

    def next_pieces(self, pairs: Sequence[Draw], form: Prompt) -> list[tuple[Example, ...] | str]:
        """As `sequences`, but one piece of each text that is too long."""
        whole = iter(sequences(self.tokenizer, [pair for pair in pairs if self._count(pair[0]) == 1], form))
        return [(self._next(row),) if self._count(row) > 1 else next(whole) for row, _ in pairs]

    def _count(self, row: Row) -> int:
        # A token has a byte at least, and some tokenizers put one more before a text.
        if row.prompt or row.messages or len(row.trace) * 4 + 4 <= self.limit:
            return 1
        if row not in self._counts:
            self._counts[row] = len(self._cut(row))
        return self._counts[row]

    def _next(self, row: Row) -> Example:
        remaining = self._remaining[row]
        if not remaining:
            remaining.extend(self._cut(row))
        return remaining.popleft()

    def _cut(self, row: Row) -> list[Example]:
        [whole] = encode(self.tokenizer, [(row, True)])
        start, text = whole.tokens[: whole.prompt], whole.tokens[whole.prompt :]
        n = -(-len(text) // (self.limit - len(start)))
        bounds = [len(text) * i // n for i in range(n + 1)]
        return [
            Example((*start, *text[begin:end]), ((len(start), len(start) + end - begin),), row.difficulty)
            for begin, end in pairwise(bounds)
        ]


def encode(tokenizer: Any, pairs: Sequence[Draw], form: Prompt = PLAIN) -> list[Example]:
    """The tokenised sequences of rows in the campaign's form. Raises as `sequences` does."""
    return [example for row in sequences(tokenizer, pairs, form) if not isinstance(row, str) for example in row]


def sequences(tokenizer: Any, pairs: Sequence[Draw], form: Prompt = PLAIN) -> list[tuple[Example, ...] | str]:
    """The tokenised sequences of each row, or the reason why it has none.

    A completion has the end that an answer has (`services.trainer.encoding`). Every assistant turn of a conversation is
    learned after exactly the prompt with which evaluation would ask for it. Turns whose prompts continue one another
    share a sequence; where the template writes earlier turns otherwise than it asked for them (it may leave out their
    thinking), a turn begins a sequence of its own.

    A row without prompt is plain text, learned in full after the token that begins a text.
    Raises `ChatTemplateMissing` or `EndTokenMissing`.
    """
    rows = [turns(row, traced=traced) for row, traced in pairs]
    asked, taught = zip(*(turn for row in rows for turn in row), strict=True) if any(rows) else ((), ())
    encoded = iter(pair_tokens(tokenizer, asked, taught, form))
    return [
        joined([next(encoded) for _ in parts], row.difficulty) if parts else "no_assistant_turn"
        for (row, _), parts in zip(pairs, rows, strict=True)
    ]


def turns(row: Row, *, traced: bool) -> list[tuple[Question, str]]:
    """What is asked and what is learned: the row's prompt and completion, or each assistant turn after a user's."""
    if not row.messages:
        return [(row.prompt, row.completion(traced=traced))]
    messages = json.loads(row.messages)
    first = next((at for at, turn in enumerate(messages) if turn["role"] == "user"), len(messages))
    return [
        (messages[:at], turn["content"])
        for at, turn in enumerate(messages)
        if turn["role"] == "assistant" and at > first
    ]


def joined(parts: Sequence[tuple[Tokens, Tokens]], difficulty: int) -> tuple[Example, ...]:
    """Pairs of a prompt and its completion as sequences; a prompt that continues the last pair shares its sequence."""
    examples: list[Example] = []
    for prompt, completion in parts:
        spans: tuple[tuple[int, int], ...] = ()
        if examples and prompt[: examples[-1].size] == examples[-1].tokens:
            spans = examples.pop().spans
        tokens = (*prompt, *completion)
        examples.append(Example(tokens, (*spans, (len(prompt), len(tokens))), difficulty))
    return tuple(examples)


class Graded(Protocol):
    """An object with a difficulty."""

    @property
    def difficulty(self) -> int:
        """1, 2 or 3."""


class Measured(Graded, Protocol):
    """An object with a length, too."""

    @property
    def size(self) -> int:
        """Its tokens."""


G = TypeVar("G", bound=Graded)
M = TypeVar("M", bound=Measured)


def arrange(examples: Sequence[M], recipe: Recipe, seed: int) -> list[list[M]]:
    """Batches in the recipe's order of difficulty.

    Buckets: rows of similar length, in random order within a window. Packed rows need no padding and keep their order.
    """
    rng = np.random.default_rng([seed, 3])
    size, window = recipe.batch, recipe.batch * WINDOW
    ordered = curriculum(examples, recipe.curriculum)
    batches: list[list[M]] = []
    if recipe.packing == "packed":
        return [ordered[i : i + size] for i in range(0, len(ordered), size)]
    for start in range(0, len(ordered), window):
        window_rows = sorted(ordered[start : start + window], key=lambda example: example.size)
        cut = [window_rows[i : i + size] for i in range(0, len(window_rows), size)]
        batches += [cut[i] for i in rng.permutation(len(cut))]
    return batches


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
        for begin, end in example.spans:
            targets[row, begin:end] = example.tokens[begin:end]
    return ids, targets
