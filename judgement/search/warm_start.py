"""The first distributions of a campaign that starts warm: half what an earlier campaign learned, half even.

Half, because within a campaign a learned distribution keeps a quarter of evenness
(`judgement.search.axis_beliefs.FLOOR`), and what was learned of another base, data or target deserves twice that
doubt. A value that was closed there keeps a quarter of its even share and no more: its evidence is not of this
campaign, so it is unlikely here, and not forbidden.
"""

from __future__ import annotations

import numpy as np

from judgement.search.space import Floats
from schemas.campaign import Axis
from schemas.policy import WarmStart
from schemas.recipe import Value

TRUST = 0.5
"""Share of the earlier distribution; the rest is even."""

CLOSED = 0.25
"""What remains of the even share of a value that was a dead end."""

DESIGN_DRAWS = 4
"""Recipes drawn for each slot of the first round, from which the most informative are taken. A cold campaign draws so
many that it sees the whole space; here the draw itself, by the distributions, is the prior."""


def carried(axis: Axis, warm: WarmStart | None) -> Floats:
    """Mass of each of an axis's values before any evidence, mean 1; even without a warm start."""
    if warm is None:
        return np.ones(len(axis.values))
    closed = {(end.knob, end.value) for end in warm.dead_ends}
    even = np.array([CLOSED if (axis.knob, value) in closed else 1.0 for value in axis.values])
    return TRUST * _learned(axis, warm) + (1 - TRUST) * even


def _learned(axis: Axis, warm: WarmStart) -> Floats:
    """The earlier distribution over today's values, mean 1: a value that is new gets the mean."""
    known: dict[Value, float] = {}
    for other in warm.axes:
        if other.knob == axis.knob:
            known = dict(zip(other.values, other.probabilities, strict=True))
    shared = [known[value] for value in axis.values if value in known]
    if not sum(shared) > 0:
        return np.ones(len(axis.values))
    mean = sum(shared) / len(shared)
    return np.array([known.get(value, mean) / mean for value in axis.values])
