"""Two readings of a text: its words, and its contents alone, each as an array of 64-bit numbers.

Words are the whole text in lower case without punctuation. Contents are the data of a generated puzzle: numbers without
their units, bit strings, Roman numerals, cipher words and signs. They match whatever the wording around them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from hashlib import blake2b
from itertools import chain

import numpy as np
import numpy.typing as npt

from schemas.words import UNSPACED

WORD = re.compile(r"\w+|[@#&%]")
"""A word, or a sign that puzzles use."""

_ROMAN = r"(?=[MDCLXVI])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
CONTENT = re.compile(rf"\d+|(?<![A-Za-z])(?:[a-j]{{3,5}}|{_ROMAN})(?![A-Za-z])|[@#&%]")
"""A content; a word may hold several."""

NUMBER = re.compile(
    r"\d+(?:[.,:/]\d+)*|[〇一二三四五六七八九十百千万萬亿億两兩]+"
    r"|[\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u2079\u2080-\u2089\u2150-\u218b\u2460-\u249b]+|[A-Za-z]+"
)
"""A number in digits, also Chinese ones, raised, lowered or in a fraction's sign, or a word that may be one."""

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
_LARGE = (
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen"
)
_PARTS = "half third quarter halves thirds quarters fourths fifths sixths eighths tenths twice thrice double triple"
NUMBER_WORDS = frozenset(f"{_SMALL} {_LARGE} {_PARTS}".split())
"""English words for numbers."""

_SYLLABLES = rf"{UNSPACED}\uac00-\ud7af"
QUESTION_TOKEN = re.compile(
    rf"[{_SYLLABLES}]|(?:(?![{_SYLLABLES}])\w)+|[+*/=<>^|%\u00d7\u00f7\u00b7\u221a\u00b1\u2264\u2265\u2260]|[-\u2212](?=\s?[\d(.])"
)
"""A word, a sign of a script without blanks, or an operator: `7 + 3` and `7 - 3` are different questions."""

_CACHED = 1 << 15
Numbers = npt.NDArray[np.uint64]


def words(text: str) -> list[str]:
    """The words of a text."""
    return [word.lower() for word in WORD.findall(text)]


def contents(text: str) -> list[str]:
    """The contents of a text."""
    return [content for word in WORD.findall(text) for content in CONTENT.findall(word)]


def numbers(text: str) -> list[str]:
    """The numbers of a text in order, in digits and in words."""
    matches = (match[0].lower() for match in NUMBER.finditer(text))
    return [one for one in matches if not one.isalpha() or not one.isascii() or one in NUMBER_WORDS]


def question_tokens(text: str) -> list[str]:
    """The words and operators of a question, in lower case: two questions with the same ones are the same."""
    tokens = QUESTION_TOKEN.findall(unicodedata.normalize("NFC", text))
    return [token.lower().replace("\u2212", "-") for token in tokens]


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
