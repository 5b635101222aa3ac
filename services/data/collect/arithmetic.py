"""Checks the worked steps of a text that can be computed: sums of numbers, `12*3+4=40`.

A step that is not fully understood is not judged: one that is part of something larger (`9:30+45=10:15`, `1 1/2=1.5`,
`half of 10+3=8`), whose value is no plain number (`17/5=3 remainder 2`, `90+30=2 hours`), or that stands in a text
about remainders or another base.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

TOLERANCE = 0.01
"""Maximum relative error of a step, for rounding; the challenge's scorer accepts the same. Whole sums are exact."""

SEEN = 80
"""Characters before and after a step by which it is understood."""

_NUMBER = r"\d{1,15}(?:,\d{3}){0,5}(?:\.\d{1,15})?"
STEP = re.compile(
    rf"(?<![\w.,)^(*/+-])({_NUMBER}(?:\s{{0,8}}[-+*/]\s{{0,8}}{_NUMBER}){{1,9}})\s?=\s?(-?{_NUMBER})"
    r"(?![\w%(^*/+-]|[.,]\d|\s?[-+*/]\s?\w)"
)
"""A sum of numbers and its stated value, neither of them part of something larger. Every repetition is bounded, so the
time grows with the text's length only."""

SIGNS = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u22c5": "*", "\u2217": "*", "\u00f7": "/", "\u2212": "-"})
COMMAND = re.compile(r"\\(?:times|cdot|div)(?![A-Za-z])")
TIMES = re.compile(r"(?<=\d)(\s{0,8})[xX](\s{0,8})(?=\d)")
"""Signs of multiplication, division and subtraction, each replaced by ASCII in the same number of characters."""

OTHER_ARITHMETIC = re.compile(
    r"\bmod(?:ulo|ular)?\b|\\[bp]?mod|\bbase[- ]?\d|\bbase (?:two|eight|ten|sixteen)|\bbinary\b|\bhex|\boctal\b|"
    r"\bcongruent|\u2261|\bclock|\bxor\b|\bbitwise|\b0x|%\s?\d",
    re.IGNORECASE,
)
"""Signs of a text whose sums are not those of plain numbers."""

REMAINDER = re.compile(
    r"\b(?:remainder|remaining|remain|rem|left|leftover|rest|whole|full|rounded?|floor|r)\b|\br\d", re.IGNORECASE
)
"""Words near a division whose stated value is the whole part."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


BEFORE = _words("""
so then thus therefore hence first second third next now finally lastly because since as that which means mean is
are was be have has had get gets got gives give gave makes make made we i you he she they it calculate calculating
compute computing solve equation step answer total check also again namely simplify where yields
""")
"""Words that may stand before a step and change nothing in it."""

NOT_AFTER = _words("""
s sec second seconds min minute minutes h hr hrs hour hours day days week weeks month months year years am pm a.m
p.m o mm cm dm m km inch inches ft foot feet yard yards mile miles mg g kg ton tons ml cl l litre litres liter
liters cent cents dollar dollars euro euros pound pounds pence percent per dozen dozens pair pairs score hundred
hundreds thousand thousands million billion k remainder remaining rem r mod modulo with over base degrees radians pi
root squared cubed times plus minus halves thirds half third quarter quarters fourths fifths sixths eighths tenths
hundredths to or approximately about roughly rounded dm2 m2 divided multiplied choose factorial th
""")
"""Words after a value that may be part of it."""

WORD_BEFORE = re.compile(r"([A-Za-z]+)\s+$")
ENUMERATED = re.compile(r"(?:^|\n)\s*\(?\d{1,3}[.)]\s+$")
FOLLOWED = re.compile(r"\s*(?:$|\n|>>|[.;!?](?=\s|$)|[,:](?=\s|$))")
WORD_AFTER = re.compile(r"\s([A-Za-z][A-Za-z.]*)(?!\w)(\s\S+)?")
COMPLETED = re.compile(rf"=\s?-?{_NUMBER}\s+and\s+$")


def wrong_steps(trace: str, solved: str = "") -> Iterator[str]:
    """The steps of a trace whose computed value differs from the stated one, except those of a solver's own trace.

    A solver may use a notation of its own: the puzzles' `6-7-0=19` borrows a ten.
    """
    if OTHER_ARITHMETIC.search(trace):
        return
    accepted, text = set(solved.split()), _ascii(trace)
    for match in STEP.finditer(text):
        step = trace[match.start() : match.end()]
        before, after = text[max(0, match.start() - SEEN) : match.start()], text[match.end() : match.end() + SEEN]
        if step in accepted or not _begins(before, at_start=match.start() <= SEEN) or not _ends(after):
            continue
        value = _value(match[1])
        if value is not None and not _agrees(match[1], value, match[2], after):
            yield step


def _ascii(text: str) -> str:
    """The text with ASCII signs of arithmetic, as long as it was."""
    text = text.translate(SIGNS)
    text = COMMAND.sub(lambda match: ("/" if "div" in match[0] else "*").rjust(len(match[0])), text)
    return TIMES.sub(r"\1*\2", text)


def _begins(before: str, *, at_start: bool) -> bool:
    """Whether nothing before a step belongs to it."""
    last = before.rstrip()
    if not last:
        return at_start
    if last[-1] == "=" or last.endswith(("<<", "=>", "->", "\u2192", "\u21d2", "\u2234")):
        return True
    if last[-1] in "+-*/^([{\\|~\u221a":
        return False
    gap = before[len(last) :]
    if "\n" in gap or ENUMERATED.search(before):
        return True
    if last[-1] in ".,;:!?" and gap:
        return True
    word = WORD_BEFORE.search(before)
    return word is not None and (word[1].lower() in BEFORE or COMPLETED.search(before) is not None)


def _ends(after: str) -> bool:
    """Whether nothing after a value belongs to it."""
    if FOLLOWED.match(after):
        return True
    word = WORD_AFTER.match(after)
    if word is None or word[1].lower().rstrip(".") in NOT_AFTER:
        return False
    return not (word[1].lower() == "and" and word[2] is not None and word[2].strip()[:1].isdigit())


def _agrees(summed: str, value: float, stated: str, after: str) -> bool:
    """Whether a stated value is that of a sum, rounded or, where the text speaks of a remainder, its whole part."""
    if "/" in summed and math.floor(value) == _number(stated) and REMAINDER.search(after):
        return True
    if "/" not in summed and "." not in summed + stated:
        return value == _number(stated)
    return math.isclose(value, _number(stated), rel_tol=TOLERANCE, abs_tol=1e-9)


def _value(text: str) -> float | None:
    """The value of a sum without brackets; none for a division by zero."""
    total = 0.0
    for sign, term in re.findall(r"([-+]?)([^-+]+)", "".join(text.split())):
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
