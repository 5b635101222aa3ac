"""The cost of a recipe: tokens times active parameters, the same on every run, so it may steer a choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from judgement.history import History
from judgement.trial import Trial
from schemas.recipe import Recipe


def compute(history: History, recipe: Recipe) -> float:
    """Expected training cost in tokens times active parameters: rows of the recipe, times the cost of a row."""
    return float(round(_rows(history, recipe, history.round) * _row(history, recipe)))


def relative(history: History, recipe: Recipe) -> float:
    """Expected training cost relative to the campaign's first recipe."""
    return compute(history, recipe) / max(1.0, compute(history, history.campaign.recipe))


def price(history: History, recipes: Sequence[Recipe]) -> np.ndarray:
    """The gain that the constitution demands for each recipe's cost, in accuracy, (recipes,)."""
    rate = history.campaign.constitution.price
    return np.array([rate * relative(history, recipe) if rate else 0.0 for recipe in recipes])


def _rows(history: History, recipe: Recipe, round_: int) -> int:
    """Rows of all steps of a recipe on a round's data; its epochs need fewer than its steps where the data is small."""
    snapshot = history.snapshots.get(round_)
    return (recipe.steps_for(snapshot.rows) if snapshot else recipe.steps) * recipe.batch


def _row(history: History, recipe: Recipe) -> float:
    """Cost of one row: measured on the recipes with the most similar rows, else from the size of the snapshot."""
    trained = [t for t in history.trials.values() if t.recipe and t.checkpoint]
    alike = [t for t in trained if t.recipe and _row_knobs(t.recipe) == _row_knobs(recipe)]
    if alike or trained:
        return _measured(history, alike or trained)
    snapshot = history.snapshots[history.round]
    return sum(snapshot.tokens.values()) / sum(snapshot.rows.values()) * history.substrate.active_parameters


def _row_knobs(recipe: Recipe) -> tuple[object, ...]:
    """The knobs that decide how long a row is."""
    return recipe.traces, recipe.difficulty, recipe.wordings


def _measured(history: History, trials: Sequence[Trial]) -> float:
    costs = [t.checkpoint.cost.compute / _rows(history, t.recipe, t.round) for t in trials if t.checkpoint and t.recipe]
    return float(np.mean(costs))
