"""The scorer `numeric`: numbers as people and LaTeX write them, compared as fractions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tasks.scorers.answer import Answer, Part, at_edges, scorer_of
from tasks.scorers.scorer import Scorer, amount, one_of, read_options

LONGEST_NUMBER = 400
"""Longest number that is read, in characters."""

MINUS = "-+\u2212"
SPACE = " \u00a0\u2009\u202f"
DIGITS = (
    rf"(?:[1-9][0-9]{{0,2}}(?:(?:,[0-9]{{3}}){{1,40}}+|(?:[{SPACE}][0-9]{{3}}){{1,40}}+)(?![0-9])|[0-9]++)(?:\.[0-9]++)?+"
    r"|(?<!\.)\.[0-9]++"
)
NUMBER = re.compile(
    r"(?<!\w)(?<!\d[.:])(?<!\^)(?<!\^[-{])(?<!\^\{-)(?<!/)"
    rf"(?P<sign>(?<![\w)\]}}%])[{MINUS}])?(?P<currency>[$€£¥₹]\s?)?(?P<sign2>[{MINUS}])?"
    rf"(?:(?P<whole>[0-9]++)[ ]{{1,2}}(?P<part>[0-9]++)/(?P<of>[0-9]++)"
    rf"|(?P<digits>{DIGITS})(?:\s?/\s?(?P<below>[{MINUS}]?(?:{DIGITS})))?)"
    rf"(?:[eE](?P<e>[{MINUS}]?[0-9]{{1,4}})(?![0-9A-Za-z_])"
    rf"|\s?(?:\\times|\\cdot|[\u00d7\u00b7*x])\s?10\^(?:\{{(?P<p1>[{MINUS}]?[0-9]{{1,4}})\}}|(?P<p2>[{MINUS}]?[0-9]{{1,4}})))?"
    r"(?![_\d\u2070\u00b9\u00b2\u00b3\u2074-\u2079])(?!\^(?!\{?\\circ))(?![.:]\d)(?!\s?/\s?[0-9])(?!(?:[xyznie]|pi)(?![A-Za-z]))"
    r"(?!\s?\\(?:pi|sqrt|d?frac|times|cdot)(?![a-z]))(?P<percent>\s?(?:%|per\s?cent\b))?"
)
FRACTION = re.compile(r"(\d?)\\[dtc]?frac\s?(?:\{([^{}]{1,50})\}|([0-9]))\s?(?:\{([^{}]{1,50})\}|([0-9]))")
UNIT = re.compile(
    r"(?:\s?(?:\\(?:text|mathrm|mbox|textbf)\s?\{[^{}0-9]*\}|\\(?:circ|degree)|\^\{?\s?(?:-?[0-9]|\\circ)\}?"
    r"|[^\W\d_]|[\u00b2\u00b3\u00b0/.\u00b7'$€£¥₹-]))*"
)
ASCII_NUMBER = str.maketrans({"\u2212": "-", ",": None, **dict.fromkeys(SPACE)})
VARIABLES = frozenset({"x", "y", "z", "n", "i", "e", "pi"})
WRAPPER = re.compile(r"\\(?:text|mathrm|mbox|textbf)\s?\{([^{}]*)\}")
LATEX = {"{,}": ",", "\\,": "\u2009", "\\!": "", "\\;": " ", "\\ ": " ", "\\$": "$", "\\%": "%", "~": " "}


@dataclass(frozen=True)
class _Quantity:
    """A number with what is written around it."""

    value: Fraction
    percent: bool
    currency: str
    rest: str
    """The text after the number; it starts with the unit, if there is one."""


def _without_latex(text: str) -> str:
    for command, plain in LATEX.items():
        text = text.replace(command, plain)

    def fraction(match: re.Match[str]) -> str:
        digit, *terms = match.groups()
        above, below = (term.strip() for term in terms if term is not None)
        return f"{digit}{' ' if digit else ''}{above}/{below}"

    return FRACTION.sub(fraction, text)


def _quantity(match: re.Match[str]) -> _Quantity | None:
    """The quantity that a match of `NUMBER` states; None for a zero denominator or a number that is too long."""
    if len(match.group()) > LONGEST_NUMBER:
        return None
    term = {name: (text or "").translate(ASCII_NUMBER) for name, text in match.groupdict().items()}
    below = Fraction(term["of"] or term["below"] or 1)
    if not below:
        return None
    value = int(term["whole"]) + int(term["part"]) / below if term["whole"] else Fraction(term["digits"]) / below
    value *= Fraction(10) ** int(term["e"] or term["p1"] or term["p2"] or 0)
    if (term["sign"] == "-") != (term["sign2"] == "-"):
        value = -value
    rest = WRAPPER.sub(r"\1", match.string[match.end() : match.end() + 60]).strip(f"$ {SPACE}")
    percent = bool(term["percent"])
    return _Quantity(value / 100 if percent else value, percent, term["currency"], rest)


def _number(text: str, *, last: bool) -> _Quantity | None:
    """The first or last number of a text."""
    matches = list(NUMBER.finditer(_without_latex(text)))
    return next(filter(None, map(_quantity, reversed(matches) if last else matches)), None)


def only_number(text: str) -> _Quantity | None:
    """The quantity if the text, or its right side of `=`, is one number with nothing but a unit."""
    text = _without_latex(text.strip().removeprefix("\\(").removesuffix("\\)")).rpartition("=")[2]
    text = WRAPPER.sub(r"\1", text) if WRAPPER.fullmatch(text.strip()) else text
    text = text.strip(" *")
    text = text.strip("$") if text.endswith("$") else text
    match = NUMBER.match(text)
    unit = text[match.end() :].strip() if match else ""
    if match is None or len(unit) > 60 or not UNIT.fullmatch(unit) or unit in VARIABLES:
        return None
    return _quantity(match)


def _stated(parts: list[Part]) -> _Quantity | None:
    """The number that the best part with one states.

    The first one after "the answer is" or `####`, of its last equation; the last one of a text or line; else the part
    has to be a number with nothing but a unit. A sentence "the answer is" that states no number, such as "the answer is
    below", is skipped.
    """
    for part in parts:
        if part.kind in ("announced", "hash"):
            quantity = _number(part.text.rpartition("=")[2], last=False)
        elif part.kind in ("text", "line"):
            quantity = _number(part.text, last=True)
        else:
            quantity = only_number(part.text)
        if quantity is not None or (part.kind == "announced" and re.search(r"[\d\\]", part.text)):
            return quantity
    return None


def equal(stored: _Quantity, stated: _Quantity, *, tolerance: Fraction, absolute: Fraction) -> bool:
    """Equal within the tolerances; p % is p/100, and also p if the other quantity has no percent sign."""
    pairs = [(stored.value, stated.value)]
    if stored.percent != stated.percent:
        pairs.append((stored.value * (100 if stored.percent else 1), stated.value * (100 if stated.percent else 1)))
    return any(abs(left - right) <= max(tolerance * abs(left), absolute) for left, right in pairs)


def _same_unit(stored: _Quantity, stated: _Quantity) -> bool:
    """Whether a quantity has the unit, currency and percent sign of the stored one, as far as that has them."""
    unit = stored.rest.removesuffix(".").rstrip()
    if (stored.currency and stored.currency != stated.currency) or (stored.percent and not stated.percent):
        return False
    return not unit or (stated.rest.startswith(unit) and at_edges(stated.rest, 0, len(unit)))


def numeric(**options: Any) -> Scorer:
    """Equal numbers, compared as fractions without rounding. It does not apply to a reference that is not a number.

    Options: `tolerance` (relative to the reference, default 0), `absolute` (default 0; the larger tolerance counts),
    `units` (`ignore`, or `require` the reference's unit, currency and percent sign as written), `answer`.
    """
    values = read_options(
        "numeric",
        options,
        tolerance=(0, amount),
        absolute=(0, amount),
        units=("ignore", one_of("ignore", "require")),
        answer=("auto", Answer),
    )
    answer: Answer = values.pop("answer")
    require = values.pop("units") == "require"

    def judge(text: str, reference: str) -> bool | None:
        stored = only_number(answer.stored(reference))
        if stored is None:
            return None
        stated = _stated(answer.parts(text))
        return stated is not None and equal(stored, stated, **values) and (not require or _same_unit(stored, stated))

    return scorer_of(judge)
