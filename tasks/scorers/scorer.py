"""What a scorer is: the checks of its options in a campaign file, and of the scores that it returns."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from numbers import Real
from typing import Any, Protocol

FIELD = "suites.score"
"""Path of the field, for errors."""

Scores = list[float | None]
Check = Callable[[Any], Any]


class ScoreInvalid(Exception):
    """A scorer returned something else than one number in [0, 1] or None per completion."""


class Scorer(Protocol):
    """Scores completions; every column holds one value per completion."""

    def __call__(
        self, prompts: Sequence[str], completions: Sequence[str], *, answer: Sequence[str], **columns: Any
    ) -> Scores:
        """The scores, in the order of the completions."""


def checked(name: str, values: Any, n: int) -> Scores:
    """The values that scorer `name` returned for `n` completions, as floats. Raises `ScoreInvalid` naming the fault."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Sequence):
        raise ScoreInvalid(f"{name} returned {type(values).__name__}; return a list of {n} numbers or None")
    if len(values) != n:
        raise ScoreInvalid(f"{name} returned {len(values)} scores for {n} completions; return one for each")
    return [_checked_one(name, index, value) for index, value in enumerate(values)]


def _checked_one(name: str, index: int, value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, Real):
        raise ScoreInvalid(f"{name}: score {index} is {value!r:.80}; return a number in [0, 1] or None")
    number = float(value)
    if math.isnan(number) or not 0.0 <= number <= 1.0:
        raise ScoreInvalid(f"{name}: score {index} is {number}; return a number in [0, 1] or None")
    return number


def combine(parts: Sequence[tuple[float, Scores]]) -> Scores:
    """The mean score of each completion over the scorers that apply to it, by weight; None if none applies."""
    scores: Scores = []
    for row in zip(*(values for _, values in parts), strict=True):
        weighted = [(weight, value) for (weight, _), value in zip(parts, row, strict=True) if value is not None]
        total = sum(weight for weight, _ in weighted)
        scores.append(sum(weight * value for weight, value in weighted) / total if weighted else None)
    return scores


def read_options(scorer: str, options: Mapping[str, Any], **supported: tuple[Any, Check]) -> dict[str, Any]:
    """The options of a scorer, checked; `supported` has default and check of each.

    Raises `ValueError` naming the remedy.
    """
    for name in options:
        if name not in supported:
            remedy = f"use one of {', '.join(supported)}" if supported else "remove it, the scorer has no options"
            raise ValueError(f"{FIELD}.{scorer}: option {name!r} is not known; {remedy}")
    values = {}
    for name, (default, check) in supported.items():
        try:
            values[name] = check(options.get(name, default))
        except ValueError as error:
            value = repr(options[name]) if name in options else "missing"
            raise ValueError(f"{FIELD}.{scorer}.{name}: {value}; {error}") from None
    return values


def flag(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError("use true or false")  # noqa: TRY004  # errors of a campaign file are ValueErrors
    return value


def amount(value: Any) -> Fraction:
    """A number of at least 0, exactly as written."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError("use a number of at least 0")
    return Fraction(repr(value))


def count(value: Any) -> int:
    """A whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("use a whole number of at least 1")
    return value


def one_of(*names: str) -> Check:
    """The check for one of these names."""

    def check(value: Any) -> Any:
        if value not in names:
            raise ValueError(f"use one of {', '.join(names)}")
        return value

    return check


def regular_expression(value: Any) -> str:
    """A pattern that `re` accepts."""
    if not isinstance(value, str) or not value:
        raise ValueError("write a regular expression of Python's re")
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"correct the regular expression: {error}") from None
    return value
