"""Two readings of a text: its words, and its contents alone, each as an array of 64-bit numbers.

Words are the whole text in lower case without punctuation. Contents are the data of a generated puzzle: numbers without
their units, bit strings, Roman numerals, cipher words and signs. They match whatever the wording around them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from itertools import chain

import numpy as np
import numpy.typing as npt

WORD = re.compile(r"\w+|[@#&%]")
"""A word, or a sign that puzzles use."""

_ROMAN = r"(?=[MDCLXVI])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
CONTENT = re.compile(rf"\d+|(?<![A-Za-z])(?:[a-j]{{3,5}}|{_ROMAN})(?![A-Za-z])|[@#&%]")
"""A content; a word may hold several."""

_CACHED = 1 << 15
Numbers = npt.NDArray[np.uint64]


def words(text: str) -> list[str]:
    """The words of a text."""
    return [word.lower() for word in WORD.findall(text)]


def contents(text: str) -> list[str]:
    """The contents of a text."""
    return [content for word in WORD.findall(text) for content in CONTENT.findall(word)]


def readings(text: str) -> tuple[Numbers, Numbers]:
    """The numbers of `words` and of `contents`, in one pass."""
    tokens = WORD.findall(text)
    numbers = np.fromiter(map(_word, tokens), dtype=np.uint64, count=len(tokens))
    return numbers, np.fromiter(chain.from_iterable(map(_contents, tokens)), dtype=np.uint64)


def number(token: str) -> int:
    """The number of a token, the same on every machine."""
    return int.from_bytes(blake2b(token.encode(errors="surrogatepass"), digest_size=8).digest(), "big")


@lru_cache(maxsize=_CACHED)
def _word(word: str) -> int:
    return number(word.lower())


@lru_cache(maxsize=_CACHED)
def _contents(word: str) -> tuple[int, ...]:
    return tuple(map(number, CONTENT.findall(word)))
