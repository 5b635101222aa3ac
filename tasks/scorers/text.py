"""Scorers that compare texts: equal, contained, found by a pattern, or of a length."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from schemas.words import count_words
from tasks.puzzles.scorer import correct
from tasks.scorers.answer import Answer, Part, at_edges, last_line, scorer_of
from tasks.scorers.child_process import last_match
from tasks.scorers.scorer import Scorer, Scores, count, flag, read_options, regular_expression

DECORATION = "*`\"'$ \t\u201c\u201d"


def plain(text: str) -> str:
    """A sentence's answer without Markdown, quotes, math delimiters and final full stop."""
    text = text.strip(DECORATION).removesuffix(".").strip(DECORATION)
    return text.removeprefix("\\(").removesuffix("\\)").strip(DECORATION)


def normal(text: str, *, ignore_case: bool, ignore_punctuation: bool) -> str:
    """Text in form NFC and lower case; NFKC would equate 2³ and 23, and casefold ß and ss.

    Signs and separators before a digit are no punctuation.
    """
    text = unicodedata.normalize("NFC", text).strip()
    if ignore_punctuation:
        after = f"{text[1:]} "
        characters = (
            character
            for character, following in zip(text, after, strict=False)
            if not unicodedata.category(character).startswith("P") or (character in "-.,/:" and following.isdigit())
        )
        text = " ".join("".join(characters).split())
    return unicodedata.normalize("NFC", text.lower()) if ignore_case else text


def exact(**options: Any) -> Scorer:
    """Equal text. Options: `ignore_case` (default true), `ignore_punctuation` (default false), `answer`."""
    values = read_options(
        "exact", options, ignore_case=(True, flag), ignore_punctuation=(False, flag), answer=("auto", Answer)
    )
    answer: Answer = values.pop("answer")

    def judge(text: str, reference: str) -> bool:
        first = next(iter(answer.parts(text)), Part("", "given"))
        part = last_line(first.text) if first.kind == "text" else first.text
        readings = [part, plain(part) if first.kind == "announced" else part]
        stored = normal(answer.stored(reference), **values)
        whole = options.get("answer", "auto") == "auto" and normal(text, **values) == normal(reference, **values)
        return whole or (bool(stored) and stored in [normal(part, **values) for part in readings])

    return scorer_of(judge)


def contains(**options: Any) -> Scorer:
    """The reference occurs in the completion as whole words or a whole number. Option: `ignore_case` (default true)."""
    values = read_options("contains", options, ignore_case=(True, flag))

    def judge(text: str, reference: str) -> bool:
        text = normal(text, ignore_punctuation=False, **values)
        stored = normal(reference, ignore_punctuation=False, **values)
        start = text.find(stored)
        while start >= 0:
            end = start + len(stored)
            if at_edges(text, start, end) and _whole_number(text, start, end):
                return True
            start = text.find(stored, start + 1)
        return False

    return scorer_of(judge)


def _whole_number(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` is not a part of a longer number: 5 is none of -5, 5.3 and 1,005."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if text[start].isdigit() and (re.search(r"\d[.,]$", before) or re.search(r"(?:^|\W)[-\u2212]$", before)):
        return False
    return not (text[end - 1].isdigit() and re.match(r"[.,]\d", after))


def regex(**options: Any) -> Scorer:
    """The last match of `pattern`, its first group if it has one, is compared as `exact` compares.

    With `match: true` a completion scores 1 if the pattern matches anywhere, and the reference is not used.
    Options: `pattern`, `match` (default false), `ignore_case` (default true), `ignore_punctuation` (default false).
    """
    flags = {"ignore_case": (True, flag), "ignore_punctuation": (False, flag)}
    values = read_options("regex", options, pattern=(None, regular_expression), match=(False, flag), **flags)
    pattern, match = values.pop("pattern"), values.pop("match")

    def judge(text: str, reference: str) -> bool:
        part = last_match(pattern, text) or ""
        return bool(part) and normal(part, **values) == normal(reference, **values)

    def form(prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> Scores:
        return [float(last_match(pattern, completion) is not None) for completion in completions]

    return form if match else scorer_of(judge)


def length(**options: Any) -> Scorer:
    """1 for at most `most` words, falling linearly to 0 at twice as many. The reference is not used."""
    most: int = read_options("length", options, most=(None, count))["most"]

    def score(prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> Scores:
        return [min(1.0, max(0.0, 2 - count_words(completion) / most)) for completion in completions]

    return score


def boxed(**options: Any) -> Scorer:
    """The Nemotron Reasoning Challenge's scorer (`tasks.puzzles.scorer`). No options."""
    read_options("boxed", options)

    def score(prompts: Sequence[str], completions: Sequence[str], *, answer: Sequence[str], **columns: Any) -> Scores:
        rows = zip(prompts, completions, answer, strict=True)
        return [float(correct(*row)) if row[2].strip() else None for row in rows]

    return score
