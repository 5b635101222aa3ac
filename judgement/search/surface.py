"""Response surfaces of second order over the space: dev as a function of the whole recipe.

Each axis has coordinates of its own, a square where it is a scale, and a product with every other axis (Box and Wilson
1951). The space is finite, so a surface is a table: the values of all recipes one change away cost one small product.

Dev has one surface per domain, learned from all trials, and whole functions are drawn from the posterior. The mean over
the domains and each domain's departure from it are fitted apart: what is good for one domain is mostly good for all,
and the mean is known better than its parts. The weights are Gaussian with one scale for slopes, one for squares and one
for products; the scales are those of highest marginal likelihood on a small grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from judgement.search.space import Floats, coordinates
from schemas.campaign import Axis
from schemas.recipe import Recipe, Value

Codes = NDArray[np.int64]
"""A recipe as the index of its value on each axis, (A,); -1 where it holds a value that the axis does not name."""


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms of all surfaces over one space: A axes, V values of all axes together, F coordinates."""

    space: tuple[Axis, ...]
    """The axes."""
    axis: Codes
    """Axis of each value, (V,)."""
    start: Codes
    """Place of the first value of each axis, (A,)."""
    owner: Codes
    """Axis of each coordinate, (F,)."""
    linear: Floats
    """Coordinates that a value gives its axis, elsewhere 0, (V, F): between -1 and 1, about 0 over the values."""
    square: Floats
    """Centred square of the coordinate of a value on a scale, elsewhere 0, (V, F)."""

    @cached_property
    def size(self) -> int:
        """Number of weights: a level, F slopes, F squares and a product of every two coordinates of different axes."""
        return 1 + 2 * len(self.owner) + int(self.apart.sum())

    @cached_property
    def apart(self) -> NDArray[np.bool_]:
        """Pairs of coordinates of different axes, each pair once, (F, F)."""
        return np.triu(self.owner[:, None] != self.owner[None, :])

    def code(self, recipe: Recipe) -> Codes:
        """The recipe as indices."""
        return np.array([_index(axis, recipe) for axis in self.space])

    def point(self, recipe: Recipe) -> tuple[Floats, Floats]:
        """Coordinates and squares of a recipe, each (F,); defined for any recipe, also off the axes' values."""
        parts = [self._on(index, recipe.get(axis.knob)) for index, axis in enumerate(self.space)]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _on(self, index: int, value: Value) -> tuple[Floats, Floats]:
        """Coordinates and squares of a value of one axis, each (coordinates of the axis,)."""
        listed = self.named[index].get(value)
        if listed is None:
            z, q = _terms(self.space[index], [value])
            listed = z[0], q[0]
        return listed

    @cached_property
    def named(self) -> list[dict[Value, tuple[Floats, Floats]]]:
        """The same for the values that the axes name."""
        rows = ((axis, *_terms(axis, axis.values)) for axis in self.space)
        return [dict(zip(axis.values, zip(z, q, strict=True), strict=True)) for axis, z, q in rows]

    def features(self, recipes: Sequence[Recipe]) -> Floats:
        """All terms of recipes, (N, size)."""
        points = [self.point(recipe) for recipe in recipes]
        z, q = np.array(points).reshape(len(points), 2, len(self.owner)).swapaxes(0, 1)
        return self.rows(z, q)

    def rows(self, z: Floats, q: Floats) -> Floats:
        """All terms of points, (N, size), from their coordinates and squares, each (N, F)."""
        products = (z[:, :, None] * z[:, None, :])[:, self.apart]
        return np.concatenate([np.ones((len(z), 1)), z, q, products], axis=1)

    def variances(self, level: float, slope: float, square: float, product: float) -> Floats:
        """Prior variance of each weight, (size,), from standard deviations of the four kinds."""
        count = len(self.owner)
        kinds = [1, count, count, self.size - 1 - 2 * count]
        sd = np.repeat([level, slope, square, product], kinds)
        return np.asarray(sd**2)


@dataclass(frozen=True, eq=False)
class Surface:
    """D surfaces with given weights."""

    terms: Terms
    """Their terms."""
    weights: Floats
    """(D, size)."""

    def at(self, z: Floats, q: Floats) -> Floats:
        """Values at one point, (D,)."""
        level, slopes, squares, products = self.parts
        value: Floats = level + slopes @ z + squares @ q + 0.5 * np.einsum("f,dfg,g->d", z, products, z)
        return value

    def moves(self, z: Floats, q: Floats) -> Floats:
        """Values at every point that differs from this one by one axis's value, (V, D).

        Coordinates of one axis have no products with each other, so the change along one axis is linear in its own
        coordinates, with the slope taken at this point.
        """
        terms = self.terms
        _, slopes, squares, products = self.parts
        pull = slopes + products @ z
        own = terms.axis[:, None] == terms.owner[None, :]
        along = (terms.linear - z * own) @ pull.T + (terms.square - q * own) @ squares.T
        moved: Floats = self.at(z, q) + along
        return moved

    @cached_property
    def parts(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Level (D,), slopes (D, F), squares (D, F) and products (D, F, F), symmetric."""
        count = len(self.terms.owner)
        level, slopes, squares, rest = np.split(self.weights, [1, 1 + count, 1 + 2 * count], axis=1)
        products = np.zeros((len(self.weights), count, count))
        products[:, self.terms.apart] = rest
        return level[:, 0], slopes, squares, products + products.swapaxes(1, 2)


@lru_cache(maxsize=16)
def terms(space: tuple[Axis, ...]) -> Terms:
    """The terms of a space."""
    parts = [_terms(axis, axis.values) for axis in space]
    widths, counts = [p[0].shape[1] for p in parts], [len(axis.values) for axis in space]
    linear, square = (np.zeros((sum(counts), sum(widths))) for _ in range(2))
    owner, axis = np.repeat(np.arange(len(space)), widths), np.repeat(np.arange(len(space)), counts)
    for index, part in enumerate(parts):
        where = np.ix_(axis == index, owner == index)
        linear[where], square[where] = part
    return Terms(space, axis, np.concatenate([[0], np.cumsum(counts)[:-1]]), owner, linear, square)


def _terms(axis: Axis, values: Sequence[object]) -> tuple[Floats, Floats]:
    """Coordinates and squares of values of one axis, each (values, coordinates of the axis)."""
    named = np.array([coordinates(value, axis) for value in axis.values])
    points = np.array([coordinates(value, axis) for value in values])  # type: ignore[arg-type]  # values of a recipe
    middle, reach = (named.max(axis=0) + named.min(axis=0)) / 2, np.maximum(np.ptp(named, axis=0) / 2, 1e-9)
    z = np.clip((points - middle) / reach, -2.0, 2.0)
    if axis.scale == "choice":
        return z, np.zeros_like(z)
    return z, z**2 - 0.5


def _index(axis: Axis, recipe: Recipe) -> int:
    value = recipe.get(axis.knob)
    return axis.values.index(value) if value in axis.values else -1


SLOPES = (0.01, 0.02, 0.04, 0.08)
"""Standard deviations tried for a slope, in accuracy from the middle of an axis to its end."""

SQUARES, PRODUCTS = (0.5, 1.5), (0.1, 0.3)
"""Standard deviations tried for squares and products, as multiples of a slope's."""

LEVEL = 0.3
"""Standard deviation of the middle of the space, in accuracy."""


@dataclass(frozen=True, eq=False)
class Fit:
    """The posterior of K functions with a common prior, given N points."""

    features: Floats
    """(N, size)."""
    prior: Floats
    """Variance of each weight, (size,)."""
    noise: Floats
    """Variance of each observation, (N,)."""
    values: Floats
    """Observations, (N, K)."""
    root: Floats
    """Cholesky root of the covariance of the observations, (N, N)."""

    def draw(self, rng: np.random.Generator, temperature: float = 1.0) -> Floats:
        """Weights of one draw of all K functions, (K, size): a prior draw, corrected by the data (Matheron).

        `temperature` is the share of the posterior spread in the draw; at 0 it is the posterior mean.
        """
        count = self.values.shape[1]
        weights = temperature * rng.standard_normal((len(self.prior), count)) * np.sqrt(self.prior)[:, None]
        error = temperature * rng.standard_normal(self.values.shape) * np.sqrt(self.noise)[:, None]
        away = self.values - self.features @ weights - error
        solved = cho_solve((self.root, True), away, check_finite=False)
        posterior_draw: Floats = (weights + self.prior[:, None] * (self.features.T @ solved)).T
        return posterior_draw


@dataclass(frozen=True, eq=False)
class DevSurfaces:
    """Dev of D domains over the space."""

    terms: Terms
    """Terms of the surfaces."""
    common: Fit
    """The mean over the domains, less its mean over the trials."""
    apart: Fit
    """Each domain less that mean."""
    center: Floats
    """Expected value of each domain in the middle of the space, (D,)."""

    def draw(self, rng: np.random.Generator, temperature: float = 1.0) -> Surface:
        """One draw of the dev of all domains; see `Fit.draw`."""
        apart = self.apart.draw(rng, temperature)
        weights = self.common.draw(rng, temperature) + apart - apart.mean(axis=0)
        weights[:, 0] += self.center
        return Surface(self.terms, weights)


def fit(terms: Terms, features: Floats, accuracy: Floats, noise: Floats, center: Floats) -> DevSurfaces:
    """Learn from N trials: terms (N, size), accuracies (N, D), variances of their errors (N, D); center (D,)."""
    away, domains = accuracy - center, accuracy.shape[1]
    mean = away.mean(axis=1, keepdims=True)
    common = _best(terms, features, mean, noise.sum(axis=1) / domains**2)
    return DevSurfaces(terms, common, _best(terms, features, away - mean, noise.mean(axis=1)), center)


def _best(terms: Terms, features: Floats, values: Floats, noise: Floats) -> Fit:
    """The fit whose scales explain the observations best; the first of equals."""
    fits = [_fit(terms, features, values, noise, *scales) for scales in product(SLOPES, SQUARES, PRODUCTS)]
    return max(fits, key=_evidence)


def _fit(
    terms: Terms, features: Floats, values: Floats, noise: Floats, slope: float, square: float, pairs: float
) -> Fit:
    prior = terms.variances(LEVEL, slope, slope * square, slope * pairs)
    covariance = (features * prior) @ features.T + np.diag(noise)
    return Fit(features, prior, noise, values, np.linalg.cholesky(covariance))


def _evidence(fitted: Fit) -> float:
    """Log marginal likelihood, to six decimals so that ties resolve the same on every machine."""
    white = solve_triangular(fitted.root, fitted.values, lower=True, check_finite=False)
    logs = np.log(np.diag(fitted.root)).sum() * fitted.values.shape[1]
    return round(float(-0.5 * (white**2).sum() - logs), 6)
