"""Gravity: a stone falls d = h t^2 with a hidden h (half the pull); one fall is shown, another is asked.

Difficulty 1: the fall of one second is shown and t^2 has one digit. 2: t is 4 to 9, so h is multiplied by t twice.
3: the fall of two seconds is shown, to be halved twice first.
"""

from __future__ import annotations

from random import Random

from puzzles.digits import times
from puzzles.family import Examples, Family, Problem, Solution, Wording

SECONDS = {1: (2, 3), 2: (4, 9), 3: (3, 9)}
PULL = {1: (10, 1499), 2: (10, 499), 3: (10, 499)}
"""Ranges of h, in metres per second squared."""


def pose(rng: Random, difficulty: int) -> Problem:
    """One fall, and the time of another."""
    pull, time = rng.randint(*PULL[difficulty]), rng.randint(*SECONDS[difficulty])
    shown = 2 if difficulty == 3 else 1
    return Problem(((str(shown), str(pull * shown**2)),), str(time), f"{pull} {time}")


def solve(examples: Examples, query: str) -> Solution:
    """Find h from the fall that is shown, then multiply it by t^2, at once where that is one digit."""
    (shown, fall), time = map(int, examples[0]), int(query)
    steps, number = [], fall
    if shown == 2:
        steps.append(f"{fall}/2={fall // 2}/2={fall // 4}")
        number = fall // 4
    if time < 4:
        work, number = times(number, time * time)
        return Solution(str(number), " ".join([*steps, f"{time}*{time}={time * time}", work]))
    first, once = times(number, time)
    second, twice = times(once, time)
    return Solution(str(twice), " ".join([*steps, first, str(once), second]))


GRAVITY = Family(
    "gravity",
    pose,
    solve,
    (
        Wording("{examples} t={query} d=?", "t={given} d={found}"),
        Wording("A stone falls {examples} . How far in {query} s ?", "{found} m in {given} s"),
        Wording(
            "In Alice's Wonderland gravity is secretly changed: {examples} . Now find the fall of {query} s .",
            "{given} s to {found} m",
        ),
    ),
)
