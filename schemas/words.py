"""A word, wherever words are counted or compared: lengths, quality filters, near-duplicates, scorers.

Letters with their marks make a word. Scripts without blanks between words (Chinese, Japanese, Thai, Lao, Khmer,
Burmese, Tibetan) show no borders: there each character with its marks counts as a word. A dictionary would find longer
words, but each language needs its own, and two releases of one would cut a text in two ways.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Literal

CHINESE = (
    r"\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # characters
    r"\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f\U0001b000-\U0001b16f"  # Japanese syllables
    r"\u3100-\u312f\u31a0-\u31bf"  # Bopomofo
)
SOUTHEAST = (
    r"\u0e00-\u0fff"  # Thai, Lao, Tibetan
    r"\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese
    r"\u1780-\u17ff"  # Khmer
    r"\u1950-\u19ff\u1a20-\u1aaf\uaa80-\uaadf"  # Tai Le, New Tai Lue, Tai Tham, Tai Viet
)
KOREAN = r"\u1100-\u11ff\uac00-\ud7af"

UNSPACED = CHINESE + SOUTHEAST
"""Scripts without blanks between words, as ranges of a regular expression's class."""

Script = Literal["letters", "chinese", "korean", "southeast"]
"""How a text is written: letters and blanks; Chinese or Japanese; Korean; Thai, Khmer and others without blanks."""

_SCRIPTS: dict[Script, re.Pattern[str]] = {
    "chinese": re.compile(rf"(?=\w)[{CHINESE}]"),
    "korean": re.compile(rf"(?=\w)[{KOREAN}]"),
    "southeast": re.compile(rf"(?=\w)[{SOUTHEAST}]"),
}
_WORD = re.compile(r"\w+")
_WORD_OR_MARK = re.compile(r"\w+(?:['\u2019.-]\w+)*|[^\w\s]")
_HAS_UNSPACED = re.compile(f"[{UNSPACED}]")
_COUNTED = re.compile(rf"(?=\w)[{UNSPACED}]|(?![{UNSPACED}])\w(?:(?![{UNSPACED}])\S)*")


def split_words(text: str) -> list[str]:
    """The words of a text, without blanks and punctuation."""
    return (_WORD if _is_simple(text) else _patterns()[1]).findall(text)


def split_words_and_marks(text: str) -> list[str]:
    """The words and the single punctuation marks of a text; `don't`, `3.14` and `well-known` are one word."""
    return (_WORD_OR_MARK if _is_simple(text) else _patterns()[2]).findall(text)


def count_words(text: str) -> int:
    """How many words blanks separate; in scripts without blanks, the characters."""
    return len(_COUNTED.findall(text)) if _HAS_UNSPACED.search(text) else len(text.split())


def script_of(text: str) -> Script:
    """The script of most of a text's letters."""
    if text.isascii():
        return "letters"
    counts = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS.items()}
    of_these = sum(counts.values())
    letters = sum(map(str.isalpha, text))
    return max(counts, key=lambda name: counts[name]) if 2 * of_these > letters else "letters"


def _is_simple(text: str) -> bool:
    r"""Whether `\w` alone finds the words: Python counts no combining mark among the letters."""
    return text.isascii() or not _patterns()[0].search(text)


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """What makes a text more than simple, its words, and its words and punctuation.

    Marks are those of Unicode's first plane and the selectors of variants of characters: Python searches in a set with
    many further ranges at a hundredth of the speed.
    """
    marks = "".join(chr(at) for at in range(0x300, 0x10000) if unicodedata.category(chr(at))[0] == "M")
    marks += "\u200c\u200d\U000e0100-\U000e01ef"
    letter = rf"(?![{UNSPACED}])\w[{marks}]*"
    single, several = rf"(?=\w)[{UNSPACED}][{marks}]*", rf"(?:{letter})+"
    return (
        re.compile(f"[{UNSPACED}{marks}]"),
        re.compile(f"{single}|{several}"),
        re.compile(rf"{single}|{several}(?:['\u2019.-]{several})*|[^\w\s{marks}]"),
    )
