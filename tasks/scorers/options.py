"""Options of a scorer in a campaign file: each is checked, and an error names field, value and remedy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

FIELD = "suites.score"

Check = Callable[[Any], Any]


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
