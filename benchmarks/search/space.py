"""The space that all searches share: 17 axes of this project's own recipe, and recipes as rows of value indices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from judgement.search.space import Floats
from schemas.campaign import DOMAINS, Axis
from schemas.recipe import Recipe

Codes = NDArray[np.int64]
"""Recipes as indices into the values of each axis, (N, 17)."""

NUMERIC = (
    Axis(knob="lr", values=(1e-4, 3e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2), scale="log"),
    Axis(knob="steps", values=(50, 100, 200, 400, 800), scale="log"),
    Axis(knob="batch", values=(4, 8, 16, 32, 64), scale="log"),
    Axis(knob="rank", values=(2, 4, 8, 16, 32, 64, 128), scale="log"),
    Axis(knob="alpha", values=(4.0, 8.0, 16.0, 32.0, 64.0), scale="log"),
    Axis(knob="warmup", values=(0.0, 0.05, 0.1, 0.15, 0.2), scale="linear"),
    Axis(knob="dropout", values=(0.0, 0.05, 0.1, 0.15, 0.2), scale="linear"),
    Axis(knob="traces", values=(0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0), scale="linear"),
)
"""Knobs with a best value somewhere between their ends."""

MIX = tuple(Axis(knob=f"mix.{domain}", values=(0.25, 0.5, 1.0, 2.0, 4.0), scale="log") for domain in DOMAINS)
"""Weight of each domain in the training rows."""

ARMS = (
    Axis(knob="curriculum", values=("shuffled", "easy_first", "hard_first")),
    Axis(knob="checkpoint", values=("last", "best", "average")),
    Axis(knob="schedule", values=("cosine", "linear", "constant")),
)
"""Choices without an order: the intervention arms of the simulated study."""

SPACE = (*NUMERIC, *MIX, *ARMS)

SIZES = np.array([len(axis.values) for axis in SPACE])
"""Values per axis, (17,)."""

MIDDLE = np.array([*((len(axis.values) - 1) // 2 for axis in (*NUMERIC, *MIX)), *(0 for _ in ARMS)])
"""The recipe that every campaign starts from: each number in the middle of its axis, each choice the first."""


def recipe_of(code: Sequence[int] | Codes) -> Recipe:
    """The recipe of one row."""
    values = {axis.knob: axis.values[int(i)] for axis, i in zip(SPACE, code, strict=True)}
    mix = {knob.partition(".")[2]: values.pop(knob) for knob in list(values) if knob.startswith("mix.")}
    return Recipe.model_validate({**values, "mix": mix})


DEFAULT = recipe_of(MIDDLE)


def code_of(recipe: Recipe) -> Codes:
    """The row of one recipe. Raises `ValueError` for a value that its axis does not have."""
    return np.array([axis.values.index(recipe.get(axis.knob)) for axis in SPACE])


def random_codes(rng: np.random.Generator, count: int) -> Codes:
    """Recipes drawn evenly over the space."""
    return rng.integers(0, SIZES, (count, len(SPACE)))


def positions(codes: Codes) -> Floats:
    """Where the numeric knobs lie between the ends of their axes, in [0, 1], (N, 8)."""
    at: Floats = codes[:, : len(NUMERIC)] / (SIZES[: len(NUMERIC)] - 1)
    return at


def shares(codes: Codes) -> Floats:
    """Share of each domain in the training rows, (N, 6)."""
    weights = np.exp2(codes[:, len(NUMERIC) : len(NUMERIC) + len(MIX)] - 2.0)
    normal: Floats = weights / weights.sum(axis=1, keepdims=True)
    return normal


def arms(codes: Codes) -> Codes:
    """The choices, as indices, (N, 3)."""
    return codes[:, len(NUMERIC) + len(MIX) :]
