"""Unit conversion: a hidden whole factor between two units, or two factors in a row.

Difficulty 1: factor 2 to 5. 2: factor 6 to 9. 3: a chain of two conversions.
"""

from __future__ import annotations

from random import Random

from puzzles.digits import times
from puzzles.family import Examples, Family, Problem, Solution, Wording

FACTORS = {1: range(2, 6), 2: range(6, 10), 3: range(2, 10)}
UNITS = "mkp"
"""Names of the units, in the order of the chain."""


def pose(rng: Random, difficulty: int) -> Problem:
    """One example per factor, and an amount of the first unit."""
    factors = [rng.choice(FACTORS[difficulty]) for _ in range(2 if difficulty == 3 else 1)]
    amount = rng.randint(10, 99 if difficulty == 3 else 999)
    examples = []
    for at, factor in enumerate(factors):
        known = rng.randint(2, 9)
        examples.append((f"{known}{UNITS[at]}", f"{known * factor}{UNITS[at + 1]}"))
    return Problem(tuple(examples), f"{amount}{UNITS[0]}", " ".join(map(str, (amount, *factors))))


def solve(examples: Examples, query: str) -> Solution:
    """Divide each example, then multiply digit by digit, along the chain."""
    steps, amount = [], int(query[:-1])
    for at, (given, found) in enumerate(examples):
        known, result = int(given[:-1]), int(found[:-1])
        work, product = times(amount, result // known)
        steps.append(f"{amount} " * (at > 0) + f"{result}/{known}={result // known} {work}")
        amount = product
    return Solution(str(amount), " ".join(steps))


UNITS_FAMILY = Family(
    "units",
    pose,
    solve,
    (
        Wording("{examples} {query}=?", "{given}={found}"),
        Wording("If {examples} , how much is {query} ?", "{given} is {found}", " and "),
        Wording(
            "In Alice's Wonderland units are changed: {examples} . Now change {query} .", "{given} to {found}", ", "
        ),
    ),
)
