"""MinHash sketches of texts, and the keys by which similar ones meet (Broder, 1997; Leskovec et al., chapter 3).

Sketches are rensa's, in Rust: full-set R-MinHash, which counts each word 5-gram of a text. What its peers took instead
is in docs/guides/data.md.
"""

from __future__ import annotations

import re
import zlib
from functools import cached_property

import numpy as np
import numpy.typing as npt
import rensa

from judgement.fingerprints.index import mix
from schemas.rows import Row

WORDS = 5
"""Words of a shingle."""

PERMUTATIONS = 128
"""Slots of a sketch: the standard error of a similarity of 0.8 is 0.035."""

SEED = 20240229
"""Of the permutations; sketches of different seeds cannot be compared."""

ALGORITHM = f"rensa/{rensa.RMinHash.ALGORITHM_VERSION}/{PERMUTATIONS}/{WORDS}/{SEED}"
"""What a stored sketch was made by."""

RECALL = 0.95
"""Share of pairs at the threshold that must meet in a band. They are compared then: more meetings cost but time."""

WORD = re.compile(r"\w+")
U64 = np.uint64
Sketch = npt.NDArray[np.uint32]


def shingles(text: str) -> list[str]:
    """The word 5-grams of a text, lower case without marks; a shorter text is one shingle."""
    words = WORD.findall(text.lower())
    if len(words) <= WORDS:
        return [" ".join(words)]
    return list(map(" ".join, zip(*(words[at:] for at in range(WORDS)), strict=False)))


def sketch(row: Row) -> Sketch:
    """The sketch of what a row says and asks."""
    minhash = rensa.RMinHash(num_perm=PERMUTATIONS, seed=SEED)
    minhash.update(shingles(f"{row.prompt} {row.trace}"))
    return np.array(minhash.digest(), dtype=np.uint32)


class Bands:
    """How a sketch is cut into bands for a threshold: rows of which any band is equal meet."""

    def __init__(self, threshold: float) -> None:
        self.rows = max(rows for rows in range(1, PERMUTATIONS + 1) if rows == 1 or _meet(threshold, rows) >= RECALL)
        self.count = PERMUTATIONS // self.rows

    @cached_property
    def _weights(self) -> npt.NDArray[np.uint64]:
        return np.random.default_rng(SEED).integers(1, 2**63, size=self.rows, dtype=U64) | U64(1)

    def keys(self, values: Sketch, answer: str) -> list[int]:
        """One signed 64-bit key per band. Texts with different answers never meet: they ask different things."""
        cut = values[: self.count * self.rows].reshape(self.count, self.rows).astype(U64)
        salt = np.arange(1, self.count + 1, dtype=U64) << U64(32) | U64(zlib.crc32(answer.encode()))
        with np.errstate(over="ignore"):
            mixed = mix((cut * self._weights).sum(axis=1, dtype=U64) ^ mix(salt))
        keys: list[int] = mixed.view(np.int64).tolist()
        return keys


def _meet(similarity: float, rows: int) -> float:
    """Probability that two texts of a similarity meet in a band of so many rows."""
    return float(1 - (1 - similarity**rows) ** (PERMUTATIONS // rows))
