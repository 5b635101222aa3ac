"""Fingerprints: hashes by which a text is known again, and nothing but known again.

Two readings of a text are hashed. Its *words*, all of them, in lower case without marks: a copy. Its *contents*: numbers,
bit strings, Roman numerals, ciphers and signs alone, so that the words around them may change. Hashes are of runs of
tokens; a run may be told by itself, or only together with an answer that follows it, where the run is so common that it
says nothing alone (`1984`). Longer documents are told by several of their n-grams.

Whoever holds the file can test a guess, so what keeps a set sealed is not the hash but the company it is in: see
`services.oracle.fingerprints`.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

U64 = np.uint64
Hashes = npt.NDArray[np.uint64]

NGRAM = 8
"""Words of an n-gram of a document."""

NGRAMS = 3
"""N-grams of documents that a row must share: one alone is a turn of phrase."""

AFTER = 96
"""Contents after a run among which its answer is sought: worked steps may stand between."""

CARRIED = 32
"""Tokens of the row before that a row is read together with: an item may be split over two."""

WORD = re.compile(r"\w+")
ROMAN = r"(?=[MDCLXVI])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
CONTENT = re.compile(rf"\d+[a-z]?(?![A-Za-z])|(?<![A-Za-z])(?:[a-j]{{3,5}}|{ROMAN})(?![A-Za-z])|[@#&%]")
"""What a generated puzzle is about: numbers, with or without a unit, cipher words, Roman numerals and signs."""

_BASE = U64(0x9E3779B97F4A7C15)
_BITS = 20


class Readable(Protocol):
    """What is read of a row."""

    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def prompt(self) -> str: ...  # noqa: D102
    @property
    def trace(self) -> str: ...  # noqa: D102
    @property
    def answer(self) -> str: ...  # noqa: D102
