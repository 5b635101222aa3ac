"""Nothing wrong is taught: an answer that its verifier refuses, or a worked step that does not hold, drops its row.

Of a collected row the challenge's scorer must find the stated answer in what the model would learn to write. Worked
steps are checked where they can be computed: sums of numbers, `12*3+4=40`. Words between them are not judged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from judgement.scorer import correct
from puzzles.draw import FAMILIES
from puzzles.split import split_of
from schemas.rows import Row
from services.data.filters.filter import Dropped

NAME = "verifier"
"""Filter under which these drops are counted."""

TOLERANCE = 0.01
"""Relative error of a step: steps round, and the challenge's scorer accepts as much."""

_NUMBER = r"\d{1,15}(?:,\d{3}){0,5}(?:\.\d{1,15})?"
STEP = re.compile(
    rf"(?<![\w.,)^(*/+-])({_NUMBER}(?:\s?[-+*/]\s?{_NUMBER}){{1,9}})\s?=\s?(-?{_NUMBER})"
    r"(?![\w%(^*/+-]|[.,]\d|\s?[-+*/]\s?\w)"
)
"""A sum of numbers and the number that it is said to be, where neither is part of something larger. Every repetition is
bounded, so that no text takes longer than its length."""
AFTER_OPERATOR = re.compile(r"[-+*/^(]\s*$")


def verified(row: Row, *, sampled: bool = False) -> Dropped | None:
    """Why a row must not be taught; none where nothing is wrong with it, or it states no answer.

    A `sampled` row is of a puzzle, whose core must be of the train split; its steps were compared with the solver's.
    """
    if not row.answer:
        return None
    if not correct(row.prompt, row.completion(traced=True), row.answer):
        return Dropped(NAME, "unverified")
    if sampled and not of_train(row):
        return Dropped(NAME, "split")
    if not sampled and (wrong := next(wrong_steps(row.trace), None)):
        return Dropped(NAME, "wrong_step", wrong)
    return None


def of_train(row: Row) -> bool:
    """Whether the puzzle that a row is, or was made from, may be trained on."""
    return row.domain in FAMILIES and split_of(row.domain, row.parent or row.core) == "train"


def wrong_steps(trace: str, solved: str = "") -> Iterator[str]:
    """The steps of a trace that can be computed and do not hold, and that a solver's own trace does not show either.

    A solver may write a sum in a notation of its own: the puzzles' `6-7-0=19` borrows a ten.
    """
    known = set(solved.split())
    for found in STEP.finditer(trace):
        if found[0] in known or AFTER_OPERATOR.search(trace[: found.start()][-9:]):
            continue  # the latter is the end of a longer sum, whose beginning is not a number
        value = _value(found[1])
        if value is not None and not math.isclose(value, _number(found[2]), rel_tol=TOLERANCE, abs_tol=1e-9):
            yield found[0]


def _value(text: str) -> float | None:
    """The value of a sum without brackets; none where it divides by zero."""
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
