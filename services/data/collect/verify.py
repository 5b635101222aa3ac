"""Drops a row whose answer the scorer rejects or whose worked steps are wrong.

The challenge's scorer must find a row's stated answer in its training target. Worked steps are checked if they can be
computed: sums of numbers, `12*3+4=40`. The words between them are not checked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from schemas.rows import Row
from services.data.filters.filter import Dropped
from tasks.puzzles.draw import FAMILIES
from tasks.puzzles.scorer import correct
from tasks.split import split_of

NAME = "verifier"
"""Filter name of these drops."""

TOLERANCE = 0.01
"""Maximum relative error of a step, for rounding; the challenge's scorer accepts the same."""

_NUMBER = r"\d{1,15}(?:,\d{3}){0,5}(?:\.\d{1,15})?"
STEP = re.compile(
    rf"(?<![\w.,)^(*/+-])({_NUMBER}(?:\s?[-+*/]\s?{_NUMBER}){{1,9}})\s?=\s?(-?{_NUMBER})"
    r"(?![\w%(^*/+-]|[.,]\d|\s?[-+*/]\s?\w)"
)
"""A sum of numbers and its stated value, neither of them part of something larger. Every repetition is bounded, so the
time grows with the text's length only."""
AFTER_OPERATOR = re.compile(r"[-+*/^(]\s*$")


def verified(row: Row, *, sampled: bool = False) -> Dropped | None:
    """The reason to drop a row; none if it is correct or states no answer.

    A `sampled` row answers a puzzle: its core must be in the train split, and its steps are checked by its source.
    """
    if not row.answer:
        return None
    if not correct(row.prompt, row.completion(traced=True), row.answer):
        return Dropped(NAME, "unverified")
    if sampled and not _is_train(row):
        return Dropped(NAME, "split")
    if not sampled and (wrong := next(wrong_steps(row.trace), None)):
        return Dropped(NAME, "wrong_step", wrong)
    return None


def _is_train(row: Row) -> bool:
    """Whether a row's puzzle is in the train split."""
    return row.domain in FAMILIES and split_of(row.domain, row.parent or row.core) == "train"


def wrong_steps(trace: str, solved: str = "") -> Iterator[str]:
    """The steps of a trace whose computed value differs from the stated one, except those of a solver's own trace.

    A solver may use a notation of its own: the puzzles' `6-7-0=19` borrows a ten.
    """
    accepted = set(solved.split())
    for match in STEP.finditer(trace):
        if match[0] in accepted or AFTER_OPERATOR.search(trace[: match.start()][-9:]):
            continue  # the latter is the end of a longer sum that begins with something else than a number
        value = _value(match[1])
        if value is not None and not math.isclose(value, _number(match[2]), rel_tol=TOLERANCE, abs_tol=1e-9):
            yield match[0]


def _value(text: str) -> float | None:
    """The value of a sum without brackets; none for a division by zero."""
    total = 0.0
    for sign, term in re.findall(r"([-+]?)([^-+]+)", text.replace(" ", "")):
        factors = re.split(r"([*/])", term)
        value = _number(factors[0])
        for operator, factor in zip(factors[1::2], factors[2::2], strict=True):
            if operator == "/" and _number(factor) == 0:
                return None
            value = value * _number(factor) if operator == "*" else value / _number(factor)
        total += -value if sign == "-" else value
    return total


def _number(text: str) -> float:
    return float(text.replace(",", ""))
