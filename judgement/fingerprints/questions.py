"""Fingerprints of a suite's questions: by which copies and near-copies are recognised among rows made from templates.

Problems of one template share most of their words, so neither common n-grams nor common numbers identify one. A row is
a copy if all words and operators of an item stand in it in a row, and a near-copy if it has the numbers and the answer
of an item in the same order and a similar text (MinHash, Broder 1997).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from judgement.fingerprints.tokens import number, numbers, question_tokens

WHOLE = 5
"""Tokens from which on a question is sought within other texts; a shorter one must be the whole question."""

NEAR = 8
"""Tokens of a question from which on near-copies are sought."""

SHINGLE = 5
"""Tokens of a shingle, as in the near-duplicates among training rows."""

BANDS, ROWS = 16, 8
"""Two texts of similarity 0.8 share a band with probability 0.95, of 0.5 with 0.06, of 0.33 with 0.002."""

U64 = np.uint64
Hashes = npt.NDArray[np.uint64]
_MASK = (1 << 64) - 1


def mix(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele et al., 2014): a difference of one bit becomes one of half of them."""
    values = (values ^ (values >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> U64(27))) * U64(0x94D049BB133111EB)
    return values ^ (values >> U64(31))


SEEDS = mix(np.arange(1, BANDS * ROWS + 1, dtype=U64))
PLACES = mix(np.arange(1, SHINGLE + 1, dtype=U64)) | U64(1)
COLUMNS = mix(np.arange(101, 101 + ROWS, dtype=U64)) | U64(1)


def token_numbers(tokens: Sequence[str]) -> Hashes:
    """The numbers of tokens, the same on every machine."""
    return np.fromiter(map(number, tokens), dtype=U64, count=len(tokens))


def near_sums(prompt: str, answer: str) -> list[int]:
    """What a question and its near-copies share: a number per band; none for a short question.

    The numbers of the question and the answer are part of each.
    """
    tokens = question_tokens(prompt)
    if len(tokens) < NEAR:
        return []
    values = token_numbers(tokens)
    with np.errstate(over="ignore"):
        windows = np.lib.stride_tricks.sliding_window_view(values, SHINGLE)
        shingles = mix((windows * PLACES).sum(axis=1, dtype=U64))
        smallest = mix(shingles[:, None] ^ SEEDS).min(axis=0).reshape(BANDS, ROWS)
        bands = (smallest * COLUMNS).sum(axis=1, dtype=U64)
    answer_hash = number("\n".join((" ".join(question_tokens(answer)), *numbers(prompt))))
    return [(int(band) ^ answer_hash ^ number(f"band {at}")) & _MASK for at, band in enumerate(bands)]
