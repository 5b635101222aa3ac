"""Where model-based peers look: around the best so far, between them, and anywhere."""

from __future__ import annotations

import numpy as np

from benchmarks.search.space import Codes, random_codes

POOL, ELITE = 160, 6
"""Recipes that compete for a round's slots, and the best that they descend from."""


def pool(codes: Codes, worth: np.ndarray, rng: np.random.Generator, size: int = POOL) -> Codes:
    """Two thirds mutations of the best, a sixth crossovers, a sixth random ones; none that was tried."""
    best = codes[np.argsort(-worth, kind="stable")[:ELITE]]
    mutated = mutants(best[rng.integers(len(best), size=2 * size // 3)], rng)
    a, b = best[rng.integers(len(best), size=(2, size // 6))]
    crossed = np.where(rng.random(a.shape) < 0.5, a, b)
    neighbours = np.unique(np.vstack([mutated, crossed, random_codes(rng, size // 6)]), axis=0)
    tried = (neighbours[:, None, :] == codes[None]).all(axis=2).any(axis=1)
    untried: Codes = neighbours[~tried]
    return untried


def mutants(parents: Codes, rng: np.random.Generator) -> Codes:
    """Each with one to four axes drawn anew."""
    count = rng.integers(1, 5, len(parents))
    order = rng.random(parents.shape).argsort(axis=1)
    return np.where(order < count[:, None], random_codes(rng, len(parents)), parents)
