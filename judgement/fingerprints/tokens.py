"""Two readings of a text: its words, and its contents alone, each as a row of 64-bit numbers.

Words are all there is, in lower case, without marks. Contents are what a generated puzzle is about: numbers without
their units, bit strings, Roman numerals, cipher words and signs, so that the words around them may be others.
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
"""A content; several may stand in a word."""

_KNOWN = 1 << 15
Numbers = npt.NDArray[np.uint64]


def words(text: str) -> list[str]:
    """The words of a text."""
    return [word.lower() for word in WORD.findall(text)]


def contents(text: str) -> list[str]:
    """The contents of a text."""
    return [content for word in WORD.findall(text) for content in CONTENT.findall(word)]


def readings(text: str) -> tuple[Numbers, Numbers]:
    """The numbers of `words` and of `contents`, read in one go."""
    found = WORD.findall(text)
    said = np.fromiter(map(_word, found), dtype=np.uint64, count=len(found))
    return said, np.fromiter(chain.from_iterable(map(_contents, found)), dtype=np.uint64)


def number(token: str) -> int:
    """The number of a token, the same on every machine."""
    return int.from_bytes(blake2b(token.encode(errors="surrogatepass"), digest_size=8).digest(), "big")


@lru_cache(maxsize=_KNOWN)
def _word(word: str) -> int:
    return number(word.lower())


@lru_cache(maxsize=_KNOWN)
def _contents(word: str) -> tuple[int, ...]:
    return tuple(map(number, CONTENT.findall(word)))
