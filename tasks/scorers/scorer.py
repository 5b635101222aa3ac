"""What a scorer is, and the check and sum of the scores that it returns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Protocol

Scores = list[float | None]


class ScoreInvalid(Exception):
    """A scorer returned something else than one number in [0, 1] or None per completion."""


class Scorer(Protocol):
    """Scores completions; every column holds one value per completion."""

    def __call__(
        self, prompts: Sequence[str], completions: Sequence[str], *, answer: Sequence[str], **columns: Any
    ) -> Scores:
        """The scores, in the order of the completions."""


def checked(name: str, values: Any, n: int) -> Scores:
    """The values that scorer `name` returned for `n` completions, as floats. Raises `ScoreInvalid` naming the fault."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Sequence):
        raise ScoreInvalid(f"{name} returned {type(values).__name__}; return a list of {n} numbers or None")
    if len(values) != n:
        raise ScoreInvalid(f"{name} returned {len(values)} scores for {n} completions; return one for each")
    return [_checked_one(name, index, value) for index, value in enumerate(values)]


def _checked_one(name: str, index: int, value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, Real):
        raise ScoreInvalid(f"{name}: score {index} is {value!r:.80}; return a number in [0, 1] or None")
    number = float(value)
    if math.isnan(number) or not 0.0 <= number <= 1.0:
        raise ScoreInvalid(f"{name}: score {index} is {number}; return a number in [0, 1] or None")
    return number


def combine(parts: Sequence[tuple[float, Scores]]) -> Scores:
    """The mean score of each completion over the scorers that apply to it, by weight; None if none applies."""
    scores: Scores = []
    for row in zip(*(values for _, values in parts), strict=True):
        weighted = [(weight, value) for (weight, _), value in zip(parts, row, strict=True) if value is not None]
        total = sum(weight for weight, _ in weighted)
        scores.append(sum(weight * value for weight, value in weighted) / total if weighted else None)
    return scores
