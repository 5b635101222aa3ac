"""Two readings of a text: its words, and its contents alone, each as a row of 64-bit numbers.

Words are all there is, in lower case, without marks. Contents are what a generated puzzle is about: numbers without
their units, bit strings, Roman numerals, cipher words and signs, so that the words around them may be others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

WORD = re.compile(r"\w+|[@#&%]")

_ROMAN = r"(?=[MDCLXVI])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
CONTENT = re.compile(rf"\d+|(?<![A-Za-z])(?:[a-j]{{3,5}}|{_ROMAN})(?![A-Za-z])|[@#&%]")

_KNOWN = 1 << 16


def words(text: str) -> list[str]:
    """The words of a text and the signs that puzzles use."""
    return WORD.findall(text.lower())


def contents(text: str) -> list[str]:
    """The contents of a text."""
    return CONTENT.findall(text)


def numbers(tokens: Iterable[str]) -> npt.NDArray[np.uint64]:
    """A number for each token, the same on every machine."""
    return np.fromiter(map(number, tokens), dtype=np.uint64)


@lru_cache(maxsize=_KNOWN)
def number(token: str) -> int:
    """The number of a token."""
    return int.from_bytes(blake2b(token.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
