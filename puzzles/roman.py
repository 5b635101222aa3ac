"""Roman numerals: from digits to letters, from letters to digits, and sums.

Difficulty 1: numbers up to 2499, either way. 2: 1500 to 3999, either way. 3: the sum of two Roman numerals, in Roman.
Both ways of one number are one core: who has seen that 9 is IX must not be asked what IX is.
"""

from __future__ import annotations

from itertools import product
from random import Random

from puzzles.family import Examples, Family, Problem, Solution, Wording

PLACES = (
    ("", "M", "MM", "MMM"),
    *(
        ("", one, one * 2, one * 3, one + five, five, five + one, five + one * 2, five + one * 3, one + ten)
        for one, five, ten in ("CDM", "XLC", "IVX")
    ),
)
"""Letters by place, thousands first, and digit."""

RANGE = {1: (1, 2499), 2: (1500, 3999)}


def pose(rng: Random, difficulty: int) -> Problem:
    """A number to rewrite, or two numerals to add; there are no examples, the rule is public."""
    if difficulty == 3:
        a, b = sorted((rng.randint(1, 999), rng.randint(1, 999)), reverse=True)
        return Problem((), f"{roman(a)}+{roman(b)}", f"{a} {b}")
    number = rng.randint(*RANGE[difficulty])
    return Problem((), rng.choice((str(number), roman(number))), str(number))


def solve(examples: Examples, query: str) -> Solution:
    """Rewrite place by place; the trace pairs each place's value with its letters."""
    if query.isdecimal():
        groups = _groups(int(query))
        return Solution(roman(int(query)), " ".join(f"{value} {letters}" for value, letters in groups))
    if "+" not in query:
        groups = _groups(arabic(query))
        return Solution(str(arabic(query)), " ".join(f"{letters} {value}" for value, letters in groups))
    a, b = (arabic(part) for part in query.split("+"))
    groups = _groups(a + b)
    return Solution(roman(a + b), f"{a}+{b}={a + b} " + " ".join(f"{value} {letters}" for value, letters in groups))


def roman(number: int) -> str:
    """The Roman numeral of 1 to 3999."""
    return "".join(letters for _, letters in _groups(number))


def arabic(numeral: str) -> int:
    """The number of a Roman numeral. Raises `KeyError` for letters that are no numeral."""
    return _NUMBERS[numeral]


def _groups(number: int) -> list[tuple[int, str]]:
    """Value and letters of each place that is not zero."""
    digits = [int(digit) for digit in f"{number:04d}"]
    return [(digit * 10 ** (3 - place), PLACES[place][digit]) for place, digit in enumerate(digits) if digit]


_NUMBERS = {"".join(letters): number for number, letters in enumerate(product(*PLACES))}

ROMAN = Family(
    "roman",
    pose,
    solve,
    (
        Wording("{query}=?"),
        Wording("What is the other way of writing {query} ?"),
        Wording("In Alice's Wonderland numbers are written in two ways. Now write {query} the other way."),
    ),
)
