"""Bit manipulation: each place of a bit string has a hidden rule; what becomes of all zeros and of all ones reveals it.

Difficulty 1: five bits, each kept, set or cleared. 2: the same with six. 3: eight bits, each kept, set, cleared or
flipped.
"""

from __future__ import annotations

from random import Random

from tasks.puzzles.family import Examples, Family, Problem, Solution, Wording

RULES = {".": "01", "1": "11", "0": "00", "~": "10"}
"""What a rule makes of 0 and of 1: keep, set, clear, flip."""

WIDTH = {1: 5, 2: 6, 3: 8}
LEVEL_RULES = {1: ".10", 2: ".10", 3: ".10~"}


def pose(rng: Random, difficulty: int) -> Problem:
    """A rule for each place, shown by all zeros and all ones."""
    width = WIDTH[difficulty]
    rules = "".join(rng.choices(LEVEL_RULES[difficulty], k=width))
    query = f"{rng.getrandbits(width):0{width}b}"
    examples = tuple((bits, manipulate(bits, rules)) for bits in ("0" * width, "1" * width))
    return Problem(examples, query, f"{rules} {query}")


def solve(examples: Examples, query: str) -> Solution:
    """Name the rule of each place, then apply the rules."""
    rules = find_rules(examples)
    return Solution(manipulate(query, rules), rules)


def find_rules(examples: Examples) -> str:
    """One rule for each place. Raises `ValueError` where the examples fit none, or do not show both bits."""
    places: list[dict[str, str]] = [{} for _ in examples[0][0]]
    for source, result in examples:
        for place, before, after in zip(places, source, result, strict=True):
            if place.setdefault(before, after) != after:
                raise ValueError(f"examples {examples} fit no rule for each place; give consistent examples")
    if any(len(place) < 2 for place in places):
        raise ValueError(f"examples {examples} leave a rule open; show 0 and 1 in every place")
    names = {shown: name for name, shown in RULES.items()}
    return "".join(names[place["0"] + place["1"]] for place in places)


def manipulate(bits: str, rules: str) -> str:
    """The bits, each by the rule of its place."""
    return "".join(RULES[rule][int(bit)] for bit, rule in zip(bits, rules, strict=True))


BITS = Family(
    "bits",
    pose,
    solve,
    (
        Wording("{examples} {query}->?"),
        Wording("The rule makes {examples} . What does it make of {query} ?", "{output} of {input}", " and "),
        Wording(
            "In Alice's Wonderland a secret rule changes bits: {examples} . Now change {query} .",
            "{input} to {output}",
            ", ",
        ),
    ),
)
