"""The scorer `math`: formulas, sets, intervals and equations, as math-verify judges them."""

from __future__ import annotations

import importlib.util
import re
from fractions import Fraction
from typing import Any

from tasks.scorers.answer import Answer, Part, last_line, scorer_of
from tasks.scorers.child_process import same_formula
from tasks.scorers.numeric import WRAPPER, equal, only_number
from tasks.scorers.scorer import FIELD, Scorer, read_options
from tasks.scorers.text import plain

LONGEST_FORMULA = 1000
"""Longest mathematical answer that is read, in characters."""

DELIMITED = re.compile(r"\$([^$\n]+)\$|\\\(([^\n]{1,300}?)\\\)")
WORDS = re.compile(r"(?=.*[^\W\d_]{3})[^\W\d_]+(?:[\s'-]+[^\W\d_]+)*")


def _formula(text: str) -> str:
    r"""A formula without delimiters and without `\text{}`."""
    text = WRAPPER.sub(r"\1", plain(text.strip().removeprefix("\\[").removesuffix("\\]")))
    return text.replace("\\$", "").replace("$", "").replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").strip()


def mathematics(**options: Any) -> Scorer:
    """Equal in mathematics, as math-verify judges: formulas, sets, intervals and equations; option `answer`.

    Equal numbers and equal texts need no judgement, and a reference in words is compared as text only. Decimals are
    equal to other numbers within 6 digits, as math-verify has it. Formulas above `LONGEST_FORMULA` characters, or that
    need more than the processor time, are wrong.
    """
    answer: Answer = read_options("math", options, answer=("auto", Answer))["answer"]
    if importlib.util.find_spec("math_verify") is None:
        raise ValueError(f"{FIELD}: 'math' needs math-verify; install it with pip install 'aevolve[math]'")

    def judge(text: str, reference: str) -> bool:
        stored = answer.stored(reference)
        part = next(iter(answer.parts(text)), Part("", "given"))
        stated = last_line(part.text) if part.kind == "text" else part.text
        if part.kind in ("text", "line", "announced", "hash"):
            stated = next((a or b for a, b in reversed(DELIMITED.findall(stated))), stated)
        return _same_mathematics(_formula(stored), _formula(stated))

    return scorer_of(judge)


def _same_mathematics(stored: str, stated: str) -> bool:
    if not stored or not stated:
        return False
    if "".join(stored.split()).casefold() == "".join(stated.split()).casefold():
        return True
    left, right = only_number(stored), only_number(stated)
    if left and right and equal(left, right, tolerance=Fraction(0), absolute=Fraction(0)):
        return True
    if max(len(stored), len(stated)) > LONGEST_FORMULA or WORDS.fullmatch(stored):
        return False
    return same_formula(stored, stated)
