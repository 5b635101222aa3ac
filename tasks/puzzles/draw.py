"""Items on demand: the same arguments give the same items on every machine, and no item strays from its split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tasks.item import Item
from tasks.puzzles.bits import BITS
from tasks.puzzles.cipher import CIPHER
from tasks.puzzles.equations import EQUATIONS
from tasks.puzzles.family import Family, Problem
from tasks.puzzles.gravity import GRAVITY
from tasks.puzzles.roman import ROMAN
from tasks.puzzles.units import UNITS_FAMILY
from tasks.split import Split, split_of

FAMILIES: dict[str, Family] = {
    family.name: family for family in (BITS, CIPHER, ROMAN, UNITS_FAMILY, GRAVITY, EQUATIONS)
}

_TRIES = 500
"""Attempts to draw a new core. A split has a tenth of the space: if all attempts fail, nearly every core is drawn."""


@dataclass(frozen=True)
class Posed:
    """A problem as it was drawn."""

    problem: Problem
    level: int
    """Its difficulty."""
    wording: int
    """The wording that was drawn for it."""


def draw(
    domain: str, n: int, *, difficulty: Sequence[float], wordings: Sequence[float], split: Split, seed: int | str
) -> list[Item]:
    """`n` items of one family and one split.

    `difficulty` weighs the levels 1, 2, 3 and `wordings` the wordings 0, 1, 2. Cores are distinct until the space is
    used up, then they repeat. Raises `KeyError` for a domain that is not in `FAMILIES`.
    """
    posed = pose(domain, n, difficulty=difficulty, wordings=wordings, split=split, seed=seed)
    return [_item(FAMILIES[domain], one.problem, one.level, one.wording) for one in posed]


def pose(
    domain: str, n: int, *, difficulty: Sequence[float], wordings: Sequence[float], split: Split, seed: int | str
) -> list[Posed]:
    """The problems of `draw`, not yet worded."""
    family, cores = FAMILIES[domain], set[str]()
    rng = Random(f"{domain} {split} {seed}")  # a text is hashed with SHA-512: the same in every process
    levels = rng.choices((1, 2, 3), difficulty, k=n)
    indices = rng.choices((0, 1, 2), wordings, k=n)
    posed = []
    for level, wording in zip(levels, indices, strict=True):
        problem = _fresh(family, rng, level, split, cores)
        cores.add(problem.core)
        posed.append(Posed(problem, level, wording))
    return posed


def _fresh(family: Family, rng: Random, level: int, split: Split, cores: set[str]) -> Problem:
    """A problem of the split whose core is not in `cores`; after `_TRIES` attempts a repeated core is accepted."""
    allowed = None
    for attempt in range(_TRIES * 100):
        problem = family.pose(rng, level)
        if split_of(family.name, problem.core) != split:
            continue
        allowed = problem
        if problem.core not in cores or attempt >= _TRIES:
            break
    if allowed is None:
        raise ValueError(f"domain {family.name}: difficulty {level} has no item in {split!r}; widen its ranges")
    return allowed


def _item(family: Family, problem: Problem, level: int, wording: int) -> Item:
    solution = family.solve(problem.examples, problem.query)
    return Item(
        domain=family.name,
        difficulty=level,
        wording=wording,
        prompt=family.wordings[wording].ask(problem),
        answer=solution.answer,
        trace=solution.trace,
        core=problem.core,
    )
