"""Bit manipulation: a hidden rearrangement and a hidden mask; exclusive or with the examples reveals the mask.

Difficulty 1: six bits and a mask. 2: eight bits and a mask. 3: eight bits, rearranged before the mask.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from puzzles.family import Examples, Family, Problem, Solution, Wording

MOVES: dict[str, Callable[[str], str]] = {
    "same": lambda bits: bits,
    "reverse": lambda bits: bits[::-1],
    "left": lambda bits: bits[1:] + bits[0],
    "right": lambda bits: bits[-1] + bits[:-1],
}
"""Rearrangements, in the order in which the solver tries them; left and right rotate by one."""

WIDTH = {1: 6, 2: 8, 3: 8}


def pose(rng: Random, difficulty: int) -> Problem:
    """A rule with as many examples as it takes to find it: one for a mask, two where bits also move."""
    width = WIDTH[difficulty]
    move = "same" if difficulty < 3 else rng.choice(list(MOVES)[1:])
    mask, query = _bits(rng, width), _bits(rng, width)
    while True:
        given = [_bits(rng, width) for _ in range(1 if difficulty < 3 else 2)]
        examples = tuple((bits, xor(MOVES[move](bits), mask)) for bits in given)
        if find_rule(examples) == (move, mask):
            return Problem(examples, query, f"{move} {mask} {query}")


def solve(examples: Examples, query: str) -> Solution:
    """Find move and mask, then apply them. The trace names the move, shows the moved query and the mask."""
    move, mask = find_rule(examples)
    moved = MOVES[move](query)
    moves, given = MOVES[move](examples[0][0]), examples[0][1]
    answer = xor(moved, mask)
    marks = mask.replace("0", "=").replace("1", "~")
    steps = ["".join(step) for step in zip(moves, given, marks, moved, answer, strict=True)]
    return Solution(answer, " ".join(steps if move == "same" else [move, *steps]))


def find_rule(examples: Examples) -> tuple[str, str]:
    """The first move under which all examples agree on one mask. Raises `ValueError` where none does."""
    for move, apply in MOVES.items():
        masks = {xor(apply(given), found) for given, found in examples}
        if len(masks) == 1:
            return move, masks.pop()
    raise ValueError(f"examples {examples} fit no move of {', '.join(MOVES)} with one mask; give consistent examples")


def xor(a: str, b: str) -> str:
    """Bitwise exclusive or of two bit strings of one length."""
    return "".join("01"[x != y] for x, y in zip(a, b, strict=True))


def _bits(rng: Random, width: int) -> str:
    return f"{rng.getrandbits(width):0{width}b}"


BITS = Family(
    "bits",
    pose,
    solve,
    (
        Wording("{examples} {query}->?"),
        Wording("The rule makes {examples} . What does it make of {query} ?", "{found} of {given}", " and "),
        Wording(
            "In Alice's Wonderland a secret rule changes bits: {examples} . Now change {query} .",
            "{given} to {found}",
            ", ",
        ),
    ),
    words=tuple(MOVES),
)
