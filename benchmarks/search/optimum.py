"""The best that a world has to offer: coordinate ascent on the truth from many starts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.search.space import SIZES, Codes, random_codes
from benchmarks.search.world import World
from judgement.search.space import Floats

STARTING_CODES, STARTS = 4096, 24
"""Recipes drawn at random, and the best of them that are climbed from."""

Score = Callable[[Codes], Floats]


def best_target(world: World) -> float:
    """The highest true target of any recipe in any round."""
    rounds = {1, world.rounds}
    return max(float(world.truths(climb(world, _target(world, r)), r).target.max()) for r in rounds)


def _target(world: World, round_: int) -> Score:
    return lambda codes: world.truths(codes, round_).target


def best_on_dev(world: World, round_: int) -> Codes:
    """The recipe with the highest true dev in a round, (1, 17)."""
    best = climb(world, lambda codes: world.truths(codes, round_).dev.mean(axis=1))
    return best[[int(np.argmax(world.truths(best, round_).dev.mean(axis=1)))]]


def climb(world: World, score: Score) -> Codes:
    """Local optima of a score, (STARTS, 17): no change of a single axis improves them."""
    candidates = random_codes(np.random.default_rng([world.seed, 2]), STARTING_CODES)
    at = candidates[np.argsort(-score(candidates))[:STARTS]]
    height = score(at)
    while True:
        before = height.sum()
        for axis, size in enumerate(SIZES):
            at, height = _best_along(at, axis, int(size), score)
        if height.sum() <= before + 1e-12:
            return at


def _best_along(at: Codes, axis: int, size: int, score: Score) -> tuple[Codes, Floats]:
    moved = np.repeat(at[:, None, :], size, axis=1)
    moved[:, :, axis] = np.arange(size)
    scores = score(moved.reshape(-1, at.shape[1])).reshape(len(at), size)
    best = scores.argmax(axis=1)
    rows = np.arange(len(at))
    return moved[rows, best], scores[rows, best]
