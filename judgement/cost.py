"""What a recipe costs: tokens times active parameters, the same on every run, so it may steer a choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from judgement.history import History
from judgement.trial import Trial
from schemas.recipe import Recipe


def compute(history: History, recipe: Recipe) -> float:
    """Expected training cost in tokens times active parameters: rows that the recipe sees, times the cost of a row."""
    return float(round(recipe.steps * recipe.batch * _row(history, recipe)))


def relative(history: History, recipe: Recipe) -> float:
    """Expected training cost against that of the campaign's first recipe."""
    return compute(history, recipe) / max(1.0, compute(history, history.campaign.recipe))


def price(history: History, recipes: Sequence[Recipe]) -> np.ndarray:
    """What the constitution asks each recipe's gain to bring for its cost, in accuracy, (recipes,)."""
    asked = history.campaign.constitution.price
    return np.array([asked * relative(history, recipe) if asked else 0.0 for recipe in recipes])


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
