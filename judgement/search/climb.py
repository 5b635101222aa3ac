"""The best recipe of one drawn target: coordinate ascent from the standing recipe, one named change at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from judgement.basis import DIGITS
from judgement.search.space import Floats
from judgement.search.surface import Codes, Terms
from judgement.search.surface_target import Target
from schemas.recipe import Recipe

Penalty = Callable[[Recipe], float]
"""What a recipe must bring beside its target."""


def climb(
    target: Target, terms: Terms, standing: Recipe, open_: NDArray[np.bool_], most: int, price: Penalty | None = None
) -> Recipe:
    """The recipe that no further change improves, within `most` changes of the standing one.

    `open_` (V,) tells which values may be taken; the standing recipe's own may always be.
    """
    recipe, home = standing, terms.code(standing)
    while True:
        z, q = terms.point(recipe)
        now = target.at(z, q) - (price(recipe) if price else 0.0)
        worth = target.moves(z, q) - (_prices(terms, recipe, price) if price else 0.0)
        free = _free(terms, home, terms.code(recipe), open_, most)
        best = int(np.argmax(np.where(free, np.round(worth, DIGITS), -np.inf)))
        if not free.any() or worth[best] <= now + 10.0**-DIGITS:
            return _from(standing, recipe, terms)
        recipe = moved(terms, recipe, best)


def _from(standing: Recipe, recipe: Recipe, terms: Terms) -> Recipe:
    """The standing recipe with its changes and nothing else: a way back may have left a default spelt out."""
    for axis in terms.space:
        if (value := recipe.get(axis.knob)) != standing.get(axis.knob):
            standing = standing.replace(axis.knob, value)
    return standing


def moved(terms: Terms, recipe: Recipe, value: int) -> Recipe:
    """The recipe with one value of the table taken."""
    axis = terms.space[terms.axis[value]]
    return recipe.replace(axis.knob, axis.values[value - terms.start[terms.axis[value]]])


def _free(terms: Terms, home: Codes, held: Codes, open_: NDArray[np.bool_], most: int) -> NDArray[np.bool_]:
    """The moves that stay within the allowed changes, (V,)."""
    places = np.arange(len(terms.axis)) - terms.start[terms.axis]
    back = places == home[terms.axis]
    changed = (held != home)[terms.axis]
    room = (held != home).sum() < most
    return np.asarray((open_ | back) & (places != held[terms.axis]) & (changed | (room & ~back)))


def _prices(terms: Terms, recipe: Recipe, price: Penalty) -> Floats:
    return np.array([price(moved(terms, recipe, value)) for value in range(len(terms.axis))])
