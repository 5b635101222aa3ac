"""How dev responds to a recipe where nothing misleads: the part of a world that all kinds of one seed share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from benchmarks.search.space import ARMS, MIDDLE, NUMERIC, Codes, arms, positions, shares
from judgement.search.space import Floats
from schemas.campaign import DOMAINS

CURVATURE = 0.29
"""Loss in log-odds when a knob of average weight stands a whole axis from its best value."""
BEND = 0.065
"""Standard deviation of the joint effect of a pair of knobs at its corners, in log-odds."""
PAIRS = 8
"""Pairs of knobs with a joint effect."""
OWN_SHARE = 0.13
"""Gain in log-odds of a domain for each unit of the logarithm of its share."""
ARM = 0.065
"""Standard deviation of an arm's effect, in log-odds."""
TRAINED = 0.7
"""Gain of the default recipe over the base model, in log-odds."""


@dataclass(frozen=True)
class Landscape:
    """Log-odds of each domain as a quadratic of the knobs, with joint effects, shares and arms."""

    level: Floats
    """Log-odds of the base model, (D,)."""
    best: Floats
    """Best position of each knob in each domain, (D, 8)."""
    weight: Floats
    """How much each knob matters, (D, 8)."""
    pairs: NDArray[np.int64]
    """Knobs with a joint effect, (PAIRS, 2)."""
    bend: Floats
    """Joint effects, (D, PAIRS)."""
    own: Floats
    """Response to the own share, (D,)."""
    arm: Floats
    """Effect of each choice, (D, 3, 3); the first choice of an axis has none."""

    @classmethod
    def random(cls, rng: np.random.Generator) -> Landscape:
        """A random one. Domains agree in the main on what is good, as they do in real runs."""
        count, knobs = len(DOMAINS), len(NUMERIC)
        common = rng.uniform(0.1, 0.9, knobs)
        arm = rng.normal(0, ARM, (1, len(ARMS), 3)) + rng.normal(0, ARM / 2, (count, len(ARMS), 3))
        arm[:, :, 0] = 0.0
        return cls(
            level=logit(rng.uniform(0.25, 0.55, count)),
            best=np.clip(common + rng.normal(0, 0.12, (count, knobs)), 0, 1),
            weight=CURVATURE * rng.gamma(1.5, 1 / 1.5, knobs) * np.exp(rng.normal(0, 0.3, (count, knobs))),
            pairs=np.array([rng.choice(knobs, 2, replace=False) for _ in range(PAIRS)]),
            bend=rng.normal(0, BEND, PAIRS) + rng.normal(0, BEND / 2, (count, PAIRS)),
            own=OWN_SHARE * rng.uniform(0.5, 1.5, count),
            arm=arm,
        )

    @property
    def base(self) -> Floats:
        """Accuracy of the base model, (D,)."""
        accuracy: Floats = expit(self.level)
        return accuracy

    def log_odds(self, codes: Codes) -> Floats:
        """Log-odds of recipes, (N, D)."""
        return self.level + TRAINED + self._effect(codes) - self._effect(MIDDLE[None])

    def _effect(self, codes: Codes) -> Floats:
        at = positions(codes)
        knobs = -np.einsum("dj,ndj->nd", self.weight, (at[:, None, :] - self.best) ** 2)
        joint = 4 * np.prod(at[:, self.pairs] - 0.5, axis=2) @ self.bend.T
        chosen = arms(codes)
        interventions = sum(self.arm[:, axis, chosen[:, axis]].T for axis in range(len(ARMS)))
        effect: Floats = knobs + joint + self.own * np.log(6 * shares(codes) + 0.2) + interventions
        return effect
