"""Unit conversion: a hidden whole factor between two units, or two factors in a row.

Difficulty 1: factor 2 to 5. 2: factor 6 to 9. 3: a chain of two conversions.
"""

from __future__ import annotations

from random import Random

from tasks.puzzles.digits import times
from tasks.puzzles.family import Examples, Family, Problem, Solution, Wording

FACTORS = {1: range(2, 6), 2: range(6, 10), 3: range(2, 10)}
UNITS = "mkp"
"""Names of the units, in the order of the chain."""


def pose(rng: Random, difficulty: int) -> Problem:
    """One example per factor, and an amount of the first unit."""
    factors = [rng.choice(FACTORS[difficulty]) for _ in range(2 if difficulty == 3 else 1)]
    amount = rng.randint(10, 99 if difficulty == 3 else 999)
    examples = []
    for at, factor in enumerate(factors):
        quantity = rng.randint(2, 9)
        examples.append((f"{quantity}{UNITS[at]}", f"{quantity * factor}{UNITS[at + 1]}"))
    return Problem(tuple(examples), f"{amount}{UNITS[0]}", " ".join(map(str, (amount, *factors))))


def solve(examples: Examples, query: str) -> Solution:
    """Divide each example, then multiply digit by digit, along the chain."""
    steps, amount = [], int(query[:-1])
    for at, (source, converted) in enumerate(examples):
        quantity, result = int(source[:-1]), int(converted[:-1])
        work, product = times(amount, result // quantity)
        steps.append(f"{amount} " * (at > 0) + f"{result}/{quantity}={result // quantity} {work}")
        amount = product
    return Solution(str(amount), " ".join(steps))


UNITS_FAMILY = Family(
    "units",
    pose,
    solve,
    (
        Wording("{examples} {query}=?", "{input}={output}"),
        Wording("If {examples} , how much is {query} ?", "{input} is {output}", " and "),
        Wording(
            "In Alice's Wonderland units are changed: {examples} . Now change {query} .", "{input} to {output}", ", "
        ),
    ),
)
