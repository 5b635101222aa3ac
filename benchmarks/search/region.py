"""A region of recipes: how far inside it a recipe lies, and in which domain it sets dev and target apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.search.space import ARMS, NUMERIC, Codes, arms, positions, shares
from judgement.search.space import Floats
from schemas.campaign import DOMAINS

KNOBS = 3
"""Knobs that lead into the region."""
STEEPNESS = 14.0
"""How suddenly the region begins."""
CURED = 0.25
"""What the curing arm leaves of the region's effect."""


@dataclass(frozen=True)
class Region:
    """A corner of the space: some knobs near an end of their axis, and much data of one domain."""

    domain: int
    """The domain whose data lead into it, and whose scores it sets apart."""
    other: int
    """The domain that suffers, where it is not the same."""
    knobs: NDArray[np.int64]
    """The knobs, (KNOBS,)."""
    corner: Floats
    """The end of their axes where it lies, 0 or 1, (KNOBS,)."""
    cure: tuple[int, int]
    """The choice that takes most of the effect away: axis and value."""

    @classmethod
    def random(cls, rng: np.random.Generator) -> Region:
        """A random one."""
        domain, other = rng.choice(len(DOMAINS), 2, replace=False)
        knobs = rng.choice(len(NUMERIC), KNOBS, replace=False)
        corner = rng.integers(0, 2, KNOBS).astype(float)
        return cls(int(domain), int(other), knobs, corner, (int(rng.integers(len(ARMS))), int(rng.integers(1, 3))))

    def depth(self, codes: Codes, edge: float) -> Floats:
        """How far inside recipes lie, from 0 to 1, where the region begins at `edge`, (N,)."""
        near = 1 - np.abs(positions(codes)[:, self.knobs] - self.corner)
        data = np.clip(shares(codes)[:, self.domain] / 0.4, 0, 1)
        way = (near.sum(axis=1) + data) / (KNOBS + 1)
        inside = expit(STEEPNESS * (way - edge)) / expit(STEEPNESS * (1 - edge))
        axis, value = self.cure
        depth: Floats = np.where(arms(codes)[:, axis] == value, CURED, 1.0) * inside
        return depth
