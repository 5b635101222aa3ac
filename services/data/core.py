"""How much of what a round's snapshot holds: enough of every kind for any recipe, more of what the policy favours.

The recipes of a round are proposed after its data is made, and each draws from the cells with weights of its own. So a
cell exists if any value on any axis can ask for it; its size follows what the policy expects to be asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.campaign import Campaign
from schemas.policy import AxisBelief, Policy
from schemas.recipe import Recipe
from services.data.job import CellPlan, SnapshotPlan

CELL_ROWS = 100
"""Rows that every cell gets, so that an unlikely recipe does not repeat a handful."""

EXPECTED_ROWS = 15_000
"""Rows that are spread by expectation: about as many as a job of 500 steps of 32 draws."""

LEVEL_ROWS = 1_500
"""Most rows of one domain and difficulty; smaller item spaces have little more for training."""

Vector = tuple[float, ...]


def plan(policy: Policy, campaign: Campaign, round_: int) -> SnapshotPlan:
    """The rows of a round's snapshot: at least `CELL_ROWS` in each cell, the rest by expected use."""
    domains = campaign.constitution.domains
    shares = expected_shares(policy, campaign.constitution.training_domains)
    levels = expected(policy, "difficulty")
    wordings = expected(policy, "wordings")
    cells = tuple(
        CellPlan(domain=domain, difficulty=i + 1, wording=j, rows=rows)
        for domain in domains
        for i, level in enumerate(levels)
        for j, rows in enumerate(_rows(shares[domain] * level, wordings))
        if _askable(policy, "difficulty", i) and _askable(policy, "wordings", j)
    )
    return SnapshotPlan(seed=f"{campaign.seed}/{round_}", cells=cells)


def _rows(share: float, wordings: Vector) -> list[int]:
    """Rows per wording of a domain's difficulty that makes up `share` of what is expected to be drawn."""
    spread = min(EXPECTED_ROWS * share, LEVEL_ROWS - CELL_ROWS * len(wordings))
    return [CELL_ROWS + round(spread * weight) for weight in wordings]


def expected(policy: Policy, knob: str) -> Vector:
    """Mean weights of a knob: half the standing recipe's, half the learned distribution's where it has one."""
    standing = _normal(getattr(policy.standing, knob))
    if (axis := _axis(policy, knob)) is None:
        return standing
    drawn = [_normal(value) for value in axis.values]  # type: ignore[arg-type]  # the constitution's check
    mean = [sum(p * v[i] for p, v in zip(axis.probabilities, drawn, strict=True)) for i in range(len(standing))]
    return tuple((a + b) / 2 for a, b in zip(standing, mean, strict=True))


def expected_shares(policy: Policy, domains: tuple[str, ...]) -> dict[str, float]:
    """Mean share of each domain over the standing recipe and its neighbours along the axes of mix and upsampling."""
    recipes = [(1.0, policy.standing)]
    for axis in policy.axes:
        if axis.knob.startswith(("mix.", "upsample.")):
            recipes += _neighbours(policy.standing, axis)
    total = sum(weight for weight, _ in recipes)
    shares = [(weight / total, recipe.shares(domains)) for weight, recipe in recipes]
    return {domain: sum(weight * share[domain] for weight, share in shares) for domain in domains}


def _neighbours(standing: Recipe, axis: AxisBelief) -> list[tuple[float, Recipe]]:
    pairs = zip(axis.probabilities, axis.values, strict=True)
    return [(probability, standing.replace(axis.knob, value)) for probability, value in pairs]


def _askable(policy: Policy, knob: str, i: int) -> bool:
    """Whether the standing recipe or any value on the knob's axis gives weight to level or wording `i`."""
    axis = _axis(policy, knob)
    values = (getattr(policy.standing, knob), *(axis.values if axis else ()))
    return any(value[i] > 0 for value in values)


def _axis(policy: Policy, knob: str) -> AxisBelief | None:
    return next((axis for axis in policy.axes if axis.knob == knob), None)


def _normal(weights: Sequence[float]) -> Vector:
    total = sum(weights)
    return tuple(weight / total for weight in weights)
