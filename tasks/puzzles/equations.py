"""Equations: an operator sign with a hidden meaning, shown by examples.

Difficulty 1: the sum of two numbers or both written together, of two digits each. 2: their difference too.
3: as 2 with three digits and two signs, each with its example.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tasks.puzzles.digits import minus, plus
from tasks.puzzles.family import Examples, Family, Problem, Solution, Wording

SIGNS = "@#&%"


def _join(a: int, b: int) -> tuple[str, int]:
    return f"{a} {b}", int(f"{a}{b}")


RULES: dict[str, Callable[[int, int], tuple[str, int]]] = {"plus": plus, "minus": minus, "join": _join}
"""Meanings; each gives its steps and its result."""

LEVEL_RULES = {1: ("plus", "join"), 2: ("plus", "minus", "join"), 3: ("plus", "minus", "join")}
OPERANDS = {1: (10, 99), 2: (10, 99), 3: (100, 999)}


def pose(rng: Random, difficulty: int) -> Problem:
    """One example per sign, and a query with one of the signs."""
    meanings = rng.sample(LEVEL_RULES[difficulty], 2 if difficulty == 3 else 1)
    signs = rng.sample(SIGNS, len(meanings))
    shown = [(sign, rule, _operands(rng, difficulty)) for sign, rule in zip(signs, meanings, strict=True)]
    examples = tuple((f"{a}{sign}{b}", str(RULES[rule](a, b)[1])) for sign, rule, (a, b) in shown)
    sign, rule, _ = rng.choice(shown)
    a, b = _operands(rng, difficulty)
    return Problem(examples, f"{a}{sign}{b}", f"{rule} {a} {b}")


def solve(examples: Examples, query: str) -> Solution:
    """Find the meaning of the query's sign, then work it out digit by digit."""
    sign = next(mark for mark in query if mark in SIGNS)
    term, value = next((term, value) for term, value in examples if sign in term)
    a, b = map(int, term.split(sign))
    rule = next(name for name, work in RULES.items() if a >= b and str(work(a, b)[1]) == value)
    steps, result = RULES[rule](*map(int, query.split(sign)))
    return Solution(str(result), f"{rule} {steps}")


def _operands(rng: Random, difficulty: int) -> tuple[int, int]:
    """Two numbers, the larger first, so that no difference is negative."""
    a, b = rng.randint(*OPERANDS[difficulty]), rng.randint(*OPERANDS[difficulty])
    return max(a, b), min(a, b)


EQUATIONS = Family(
    "equations",
    pose,
    solve,
    (
        Wording("{examples} {query}=?", "{input}={output}"),
        Wording("If {examples} , what is {query} ?", "{input} is {output}", " and "),
        Wording(
            "In Alice's Wonderland a secret rule makes {examples} . Now find {query} .", "{output} of {input}", " and "
        ),
    ),
    words=tuple(RULES),
)
