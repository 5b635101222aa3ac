"""A recipe as a point: one group of coordinates per axis of the search, scaled so that an axis is about one wide."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.campaign import Axis
from schemas.recipe import Recipe, Value

Floats = NDArray[np.floating[Any]]

LEVELS = 3
"""Weights over difficulties or wordings have at most three levels; a level left out has weight 0."""


def features(recipe: Recipe, space: tuple[Axis, ...]) -> Floats:
    """Coordinates of a recipe, shape (F,): the axes' coordinates one after the other, in the order of the space."""
    return np.concatenate(
        [coordinates_at(recipe, axis, named) for axis, named in zip(space, tables(space), strict=True)]
    )


@lru_cache(maxsize=64)
def tables(space: tuple[Axis, ...]) -> tuple[dict[Value, Floats], ...]:
    """Coordinates of the named values of each axis, cached because recipes are looked up often."""
    return tuple({value: coordinates(value, axis) for value in axis.values} for axis in space)


def coordinates_at(recipe: Recipe, axis: Axis, named: dict[Value, Floats]) -> Floats:
    """Coordinates of a recipe on one axis."""
    value = recipe.get(axis.knob)
    listed = named.get(value)
    return coordinates(value, axis) if listed is None else listed


def coordinates(value: Value, axis: Axis) -> Floats:
    """Coordinates of one knob.

    Numbers lie between the axis's ends at 0 and 1, linearly or by their logarithm; weights are normalised to sum to 1;
    choices are one-hot. The last two are divided by sqrt(2): two wholly different values then have distance 1.
    """
    if axis.scale != "choice":
        return _between(value, axis)
    if all(_is_weights(v) for v in axis.values):
        weights = np.asarray(value, dtype=float)
        padded: Floats = np.pad(weights, (0, LEVELS - len(weights)))
        return padded / float(weights.sum()) / math.sqrt(2)
    return np.array([value == v for v in axis.values], dtype=float) / math.sqrt(2)


def _between(value: Any, axis: Axis) -> Floats:
    ends: list[Any] = [value, axis.values[0], axis.values[-1]]
    if axis.scale == "log":
        ends = [math.log(end) for end in ends]
    at, low, high = ends
    return np.array([(at - low) / (high - low)])


def _is_weights(value: Value) -> bool:
    return isinstance(value, tuple) and not any(isinstance(part, str) for part in value)
