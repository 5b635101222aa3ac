"""Plans a round's snapshot: enough rows of every kind for any recipe, more of what the policy favours.

The recipes of a round are proposed after its data is made, and each draws from the cells with weights of its own. So a
cell exists if any value on any axis can use it, and its size follows the policy's expected use.
"""

from __future__ import annotations

from collections.abc import Sequence

from judgement.deciders import version
from judgement.history import History
from schemas.base import Frozen, Sha256, digest
from schemas.campaign import Campaign
from schemas.events import DataBatchReady
from schemas.evidence import Basis
from schemas.policy import AxisBelief, Policy
from schemas.recipe import Recipe
from schemas.scores import Cost
from services.data.job import CellPlan, SnapshotPlan

CELL_ROWS = 100
"""Minimum rows of a cell, so that an unlikely recipe does not repeat a handful."""

EXPECTED_ROWS = 15_000
"""Rows that are split by expected use: about as many as a job of 500 steps of 32 draws."""

LEVEL_ROWS = 1_500
"""Maximum rows of one domain and difficulty; smaller item spaces have few more for training."""

Vector = tuple[float, ...]


class Planned(Frozen):
    """The decision in a `DataBatchReady`: the rows to draw. What its sources then yield is measured, not decided."""

    round: int
    """The round."""
    puzzles: dict[str, int]
    """Puzzles to draw, by domain."""
    basis: Basis
    """The state of the log that it was decided on."""


class Reused(Frozen):
    """The decision in a `DataBatchReady` of a round that missed its data deadline: the last snapshot serves again."""

    round: int
    """The round."""
    snapshot: Sha256
    """The reused snapshot."""
    basis: Basis
    """The state of the log that it was decided on."""


def decisions(history: History) -> tuple[Planned | Reused, ...]:
    """The decisions that may be taken for the open round; the data deadline decides which of them is."""
    if (policy := history.policy) is None:
        return ()
    puzzles = plan(policy, history.campaign, policy.round).rows
    planned = Planned(round=policy.round, puzzles=puzzles, basis=basis(history, policy))
    return (planned, decision_of(reused(history))) if history.snapshots else (planned,)


def decision_of(event: DataBatchReady) -> Planned | Reused:
    """The decision in a recorded event."""
    if event.reused:
        return Reused(round=event.round, snapshot=event.snapshot, basis=event.basis)
    puzzles = {counts.domain: counts.made for counts in event.yields if counts.source == "puzzles"}
    return Planned(round=event.round, puzzles=puzzles, basis=event.basis)


def reused(history: History) -> DataBatchReady:
    """The event by which the last snapshot serves the open round."""
    last = history.snapshots[max(history.snapshots)]
    fields = {"round": history.round, "reused": True, "cost": Cost(), "basis": basis(history, last)}
    return last.model_copy(update=fields)


def basis(history: History, ground: Frozen) -> Basis:
    """The state that a decision of the data service is based on; `ground` is the event or policy behind it."""
    seed = history.campaign.seed
    return Basis(position=history.position, digest=digest(ground), seed=seed, rules=version("data"))


def plan(policy: Policy, campaign: Campaign, round_: int) -> SnapshotPlan:
    """The puzzles of a round's snapshot: at least `CELL_ROWS` in each cell, the rest by expected use."""
    shares = expected_shares(policy, campaign.constitution.training_domains)
    levels = expected(policy, "difficulty")
    wordings = expected(policy, "wordings")
    cells = tuple(
        CellPlan(domain=domain, difficulty=i + 1, wording=j, rows=rows)
        for domain in campaign.constitution.puzzle_domains
        for i, level in enumerate(levels)
        for j, rows in enumerate(_rows(shares[domain] * level, wordings))
        if _usable(policy, "difficulty", i) and _usable(policy, "wordings", j)
    )
    return SnapshotPlan(seed=f"{campaign.seed}/{round_}", cells=cells)


def _rows(share: float, wordings: Vector) -> list[int]:
    """Rows per wording of one domain and difficulty, whose expected share of all draws is `share`."""
    spread = min(EXPECTED_ROWS * share, LEVEL_ROWS - CELL_ROWS * len(wordings))
    return [CELL_ROWS + round(spread * weight) for weight in wordings]


def expected(policy: Policy, knob: str) -> Vector:
    """Mean weights of a knob: half the standing recipe's, half the learned distribution's if it has one."""
    standing = _normal(getattr(policy.standing, knob))
    if (axis := _axis(policy, knob)) is None:
        return standing
    values = [_normal(value) for value in axis.values]  # type: ignore[arg-type]  # the constitution's check
    mean = [sum(p * v[i] for p, v in zip(axis.probabilities, values, strict=True)) for i in range(len(standing))]
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


def _usable(policy: Policy, knob: str, i: int) -> bool:
    """Whether the standing recipe or any value on the knob's axis gives weight to level or wording `i`."""
    axis = _axis(policy, knob)
    values = (getattr(policy.standing, knob), *(axis.values if axis else ()))
    return any(value[i] > 0 for value in values)


def _axis(policy: Policy, knob: str) -> AxisBelief | None:
    return next((axis for axis in policy.axes if axis.knob == knob), None)


def _normal(weights: Sequence[float]) -> Vector:
    total = sum(weights)
    return tuple(weight / total for weight in weights)
