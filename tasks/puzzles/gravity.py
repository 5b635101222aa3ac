"""Gravity: a stone falls d = h t^2 with a hidden h (half the pull); one fall is shown, another is asked.

Difficulty 1: the fall of one second is shown, that of two or three is asked. 2: the fall of two seconds is shown, that
of four or six is asked. 3: the fall of one second is shown, that of four to nine is asked.
"""

from __future__ import annotations

from random import Random

from tasks.puzzles.digits import times
from tasks.puzzles.family import Examples, Family, Problem, Solution, Wording

PULL = {1: (10, 1199), 2: (10, 1199), 3: (10, 499)}
"""Ranges of h, in metres per second squared."""


def pose(rng: Random, difficulty: int) -> Problem:
    """One fall, and the time of another."""
    pull = rng.randint(*PULL[difficulty])
    shown = 2 if difficulty == 2 else 1
    time = rng.randint(4, 9) if difficulty == 3 else shown * rng.randint(2, 3)
    return Problem(((str(shown), str(pull * shown**2)),), str(time), f"{pull} {shown} {time}")


def solve(examples: Examples, query: str) -> Solution:
    """Multiply the fall that is shown by the square of the ratio of times, at once where that is one digit."""
    (shown, fall), time = map(int, examples[0]), int(query)
    ratio = time // shown
    steps = [f"{time}/{shown}={ratio}"]
    if ratio < 4:
        work, number = times(fall, ratio * ratio)
        return Solution(str(number), " ".join([*steps, f"{ratio}*{ratio}={ratio * ratio}", work]))
    first, once = times(fall, ratio)
    second, twice = times(once, ratio)
    return Solution(str(twice), " ".join([*steps, first, str(once), second]))


GRAVITY = Family(
    "gravity",
    pose,
    solve,
    (
        Wording("{examples} t={query} d=?", "t={input} d={output}"),
        Wording("A stone falls {examples} . How far in {query} s ?", "{output} m in {input} s"),
        Wording(
            "In Alice's Wonderland gravity is secretly changed: {examples} . Now find the fall of {query} s .",
            "{input} s to {output} m",
        ),
    ),
)
