"""Roman numerals: from digits to letters, from letters to digits, and sums.

Difficulty 1: numbers up to 2499, either way. 2: 1500 to 3999, either way. 3: the sum of two Roman numerals, in Roman.
Both ways of one number are one core: who has seen that 9 is IX must not be asked what IX is.
"""

from __future__ import annotations

from itertools import product
from random import Random

from tasks.puzzles.family import Examples, Family, Problem, Solution, Wording

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
    """Rewrite place by place; the trace pairs each place's digit with its letters."""
    if query.isdecimal():
        return Solution(roman(int(query)), " ".join(f"{digit}{letters}" for digit, letters in _places(int(query))))
    if "+" not in query:
        number = arabic(query)
        return Solution(str(number), " ".join(f"{letters}{digit}" for digit, letters in _places(number)))
    a, b = (arabic(part) for part in query.split("+"))
    steps = " ".join(f"{digit}{letters}" for digit, letters in _places(a + b))
    return Solution(roman(a + b), f"{a}+{b}={a + b} {steps}")


def roman(number: int) -> str:
    """The Roman numeral of 1 to 3999."""
    return "".join(letters for _, letters in _places(number))


def arabic(numeral: str) -> int:
    """The number of a Roman numeral. Raises `KeyError` for letters that are no numeral."""
    return _NUMBERS[numeral]


def _places(number: int) -> list[tuple[int, str]]:
    """Digit and letters of each place, from the first that is not zero."""
    text = str(number)
    return [(int(digit), PLACES[4 - len(text) + at][int(digit)]) for at, digit in enumerate(text)]


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
