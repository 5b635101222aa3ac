"""The layout of a batch in tensors: rows padded side by side, or packed without padding. The loss is the same.

A batch is the recipe's rows of one optimizer step: their layout decides the cost, not the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from services.trainer.batches import IGNORED, Batch, Matrix, pad, pieces

MICRO_TOKENS = 16_384
"""Tokens of one forward pass, padding included. With 131,072 vocabulary entries their logits take 8 GiB in single
precision."""

FILLER = 0
"""Token id of positions without a row; it is neither learned nor visible to a row."""


@dataclass(frozen=True)
class Inputs:
    """The tensors of one forward pass; each [sequences, length]."""

    ids: torch.Tensor
    """Token ids."""
    targets: torch.Tensor
    """Token ids of completions, else `IGNORED`; not shifted, the loss shifts them."""
    positions: torch.Tensor | None = None
    """Position of each token in its own row, where a sequence holds several; a restart at 0 separates rows."""


def padded(batch: Batch, length: int, *, flat: bool = False) -> Iterator[Inputs]:
    """Rows side by side, padded on the right to the longest of their piece."""
    for piece in pieces(batch, MICRO_TOKENS):
        ids, targets = pad(piece, FILLER)
        yield Inputs(torch.from_numpy(ids), torch.from_numpy(targets))


def packed(batch: Batch, length: int, *, flat: bool = False) -> Iterator[Inputs]:
    """Rows joined to sequences of at most `length` tokens, as many per pass as `MICRO_TOKENS` allow.

    `flat`: the rows of a pass in a single sequence, for flash attention. It separates rows by their positions in a
    batch of one sequence alone, and its cost does not depend on how long that sequence is.
    """
    sequences = packs(batch, length)
    size = max(1, MICRO_TOKENS // length)
    for start in range(0, len(sequences), size):
        of_pass = sequences[start : start + size]
        of_pass = [[row for sequence in of_pass for row in sequence]] if flat else of_pass
        yield Inputs(*map(torch.from_numpy, join(of_pass)))


LAYOUTS = {"buckets": padded, "packed": packed}
"""Layout per value of the recipe's `packing`."""


def sequences_per_pass(length: int, *, flat: bool) -> int:
    """Most sequences of a packed forward pass."""
    return 1 if flat else max(1, MICRO_TOKENS // length)


def packs(batch: Batch, length: int) -> list[Batch]:
    """The rows in as few sequences of `length` tokens as first-fit decreasing finds: at most 11/9 of the fewest.

    Johnson, "Near-optimal bin packing algorithms" (1973). A longer row has a sequence of its own.
    """
    sequences: list[Batch] = []
    room: list[int] = []
    for example in sorted(batch, key=lambda example: -len(example.tokens)):
        size = len(example.tokens)
        at = next((at for at, left in enumerate(room) if left >= size), len(sequences))
        if at == len(sequences):
            sequences.append([])
            room.append(length)
        sequences[at].append(example)
        room[at] -= size
    return sequences


def join(sequences: list[Batch]) -> tuple[Matrix, Matrix, Matrix]:
    """Token ids, targets and positions of joined rows, each [sequences, longest].

    The first token of a row is never a target, since the token before it belongs to another row. The rest of a sequence
    is filled as if it were one more row.
    """
    longest = max(sum(len(example.tokens) for example in rows) for rows in sequences)
    shape = (len(sequences), longest)
    ids, targets, positions = (np.full(shape, value, np.int64) for value in (FILLER, IGNORED, 0))
    for number, rows in enumerate(sequences):
        start = 0
        for example in rows:
            end = start + len(example.tokens)
            ids[number, start:end] = example.tokens
            for begin, after in example.spans:
                learned = slice(max(1, begin), after)
                targets[number, start + learned.start : start + after] = example.tokens[learned]
            positions[number, start:end] = np.arange(end - start)
            start = end
        positions[number, start:] = np.arange(longest - start)
    return ids, targets, positions
