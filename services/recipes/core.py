"""The round's recipes as a pure function of the history: the anchor, then one change or a few against it per slot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from judgement.history import History, Trial
from judgement.search import DESIGN_POOL, POOL, Model, gains, pool, thompson
from judgement.search_basis import basis, generator, seed_of
from judgement.search_prior import design, prior_gains
from judgement.search_rules import check
from judgement.trust import TrustModel
from schemas.events import RecipeProposed
from schemas.evidence import Basis
from schemas.policy import Estimate, Policy
from schemas.recipe import Recipe, differences

__all__ = ["check", "propose"]


def propose(history: History, model: Model | None = None) -> tuple[RecipeProposed, ...]:
    """The candidates of the round that the latest policy opened; slot 0 is the anchor.

    Fewer than the constitution's `candidates` where the open part of the space holds no more untried recipes.
    `model` defaults to the fitted `TrustModel`.
    """
    policy = history.policies[history.round]
    ground = basis(history, policy.round, "propose", scored=policy.round > 1)
    chosen = _first(history, policy, ground) if policy.round == 1 else _next(history, policy, ground, model)
    return tuple(_proposal(history, policy, slot, *pick, ground) for slot, pick in enumerate(chosen))


def _first(history: History, policy: Policy, ground: Basis) -> list[tuple[Recipe, Estimate]]:
    """Round 1: what tells most about the space, by the prior alone; the base may not even be measured yet."""
    space = history.campaign.constitution.space
    drawn = _pool(history, policy, generator(ground), DESIGN_POOL)
    recipes = [policy.standing, *design(space, policy.standing, drawn, _slots(history))]
    return list(zip(recipes, prior_gains(space, policy.standing, recipes), strict=True))


def _next(history: History, policy: Policy, ground: Basis, model: Model | None) -> list[tuple[Recipe, Estimate]]:
    """Later rounds: what may be the best, by draws from the model."""
    trust: Model = model or TrustModel.fit(history)
    rng = generator(ground)
    drawn = _pool(history, policy, rng, POOL)
    recipes = [policy.standing, *thompson(history, trust, drawn, _slots(history), rng)]
    return list(zip(recipes, gains(trust, policy.standing, recipes, rng), strict=True))


def _pool(history: History, policy: Policy, rng: np.random.Generator, size: int) -> list[Recipe]:
    tried = [t.recipe for t in history.trials.values() if t.recipe]
    return pool(policy, history.campaign.constitution.max_changes, tried, rng, size)


def _slots(history: History) -> int:
    """Slots besides the anchor's."""
    return history.campaign.constitution.candidates - 1


def _proposal(
    history: History, policy: Policy, slot: int, recipe: Recipe, gain: Estimate, ground: Basis
) -> RecipeProposed:
    changes = differences(policy.standing, recipe, tuple(axis.knob for axis in policy.axes))
    return RecipeProposed(
        round=policy.round,
        slot=slot,
        candidate=f"r{policy.round}s{slot}",
        recipe=recipe,
        changes=changes,
        intervention=" + ".join(change.name for change in changes) or "anchor",
        predicted=gain,
        compute=compute(history, recipe),
        snapshot=history.snapshots[policy.round].snapshot,
        seed=seed_of(history.campaign.seed, policy.round, f"train {slot}"),
        basis=ground,
    )


def compute(history: History, recipe: Recipe) -> float:
    """Expected training cost in tokens times active parameters: rows that the recipe sees, times the cost of a row."""
    return float(round(recipe.steps * recipe.batch * _row(history, recipe)))


def _row(history: History, recipe: Recipe) -> float:
    """Cost of one row: as measured on the recipes whose rows are most alike, else from the size of the snapshot."""
    trained = [t for t in history.trials.values() if t.recipe and t.checkpoint]
    alike = [t for t in trained if t.recipe and _rows(t.recipe) == _rows(recipe)]
    if alike or trained:
        return _measured(alike or trained)
    snapshot = history.snapshots[history.round]
    return sum(snapshot.tokens.values()) / sum(snapshot.rows.values()) * history.substrate.active_parameters


def _rows(recipe: Recipe) -> tuple[object, ...]:
    """The knobs that decide how long a row is."""
    return recipe.traces, recipe.difficulty, recipe.wordings


def _measured(trials: Sequence[Trial]) -> float:
    costs = [t.checkpoint.cost.compute / (t.recipe.steps * t.recipe.batch) for t in trials if t.checkpoint and t.recipe]
    return float(np.mean(costs))
