"""Random draws of the target as a function of the whole recipe, from the posterior: one step of Thompson sampling.

A draw takes a slope, one drift hypothesis per domain and its coefficients from their posterior, and applies them to a
draw of the dev surfaces. A hypothesis's effect of the recipe beside dev is a response surface too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from judgement.drift.hypotheses import DEVIATION, OFFSET_MEAN, OFFSET_SD, SLOPES
from judgement.drift.posterior import Posterior, measurements
from judgement.profile import Profile
from judgement.search.space import Floats
from judgement.search.surface import DevSurfaces, Surface, Terms, fit
from schemas.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Target:
    """One possible target, D domains."""

    dev: Surface
    """Dev of each domain."""
    base: Floats
    """Dev of the base, (D,)."""
    under: Floats
    """Points of target per point of dev up to the level, (D,)."""
    level: Floats
    """Dev gain beyond which the other slope holds, (D,)."""
    beyond: Floats
    """Points of target per point of dev beyond it, (D,)."""
    effect: Surface
    """Effect of the recipe on the target beside dev, for each domain."""
    weights: Floats
    """Weight of each domain in the target, (D,)."""

    def at(self, z: Floats, q: Floats) -> float:
        """Target of one recipe, up to a constant."""
        return float(self._total(self.dev.at(z, q), self.effect.at(z, q)))

    def moves(self, z: Floats, q: Floats) -> Floats:
        """Target of every recipe one axis away, (V,), up to the same constant."""
        return self._total(self.dev.moves(z, q), self.effect.moves(z, q))

    def _total(self, dev: Floats, effect: Floats) -> Floats:
        gain = dev - self.base
        over = np.maximum(0.0, gain - self.level)
        total: Floats = (self.under * (gain - over) + self.beyond * over + effect) @ self.weights
        return total


class Targets:
    """Draws of the target from the posterior of the hypotheses."""

    def __init__(self, posterior: Posterior, terms: Terms) -> None:
        self.posterior, self.terms = posterior, terms
        profile = posterior.profile
        self.dev = dev_surfaces(profile, terms)
        self.unit = unit_variances(terms)
        measured = [profile.trials[name][1] if name in profile.trials else None for name in posterior.measured]
        self.features = np.array([self._row(recipe) for recipe in measured]).reshape(len(measured), terms.size)
        measured_gains = profile.gains(posterior.measured)
        self.gain, self.spread = measured_gains.mean, np.einsum("dpp->dp", measured_gains.covariance)
        self.scores, self.noise = measurements(profile)

    def draw(self, rng: np.random.Generator, temperature: float = 1.0) -> Target:
        """One possible target; its draw of dev has `temperature` times the posterior's spread."""
        p = self.posterior
        slope, scores = p.sample(rng)
        chosen = p.layout.per_domain(scores)
        level, mean, sd, effect_sd, mismatch = (
            getattr(p.hyps, name)[chosen, np.arange(len(chosen))]
            for name in ("level", "slope_mean", "slope_sd", "effect_sd", "mismatch_sd")
        )
        under, beyond, weights = self._coefficients(rng, SLOPES[slope], level, mean, sd, effect_sd, mismatch)
        dev, effect = self.dev.draw(rng, temperature), Surface(self.terms, weights)
        return Target(dev, p.profile.base_dev[0], under, level, beyond, effect, p.layout.weights @ p.layout.share)

    def _coefficients(
        self,
        rng: np.random.Generator,
        slope: float,
        level: Floats,
        mean: Floats,
        sd: Floats,
        effect_sd: Floats,
        mismatch: Floats,
    ) -> tuple[Floats, Floats, Floats]:
        """Slopes up to the level and beyond it, each (D,), and weights of the effects, (D, size): a posterior draw."""
        # Coefficients of a domain, in this order: offset, slope up to the level, slope beyond it, the effect surface.
        over = np.maximum(0.0, self.gain - level[:, None])
        under, count = self.gain - over, len(level)
        size = 3 + self.terms.size
        prior_mean = np.tile(np.concatenate([[OFFSET_MEAN, slope], np.zeros(size - 2)]), (count, 1))
        prior_mean[:, 2] = mean
        variance = np.empty((count, size))
        variance[:, 0], variance[:, 1], variance[:, 2] = OFFSET_SD**2, (DEVIATION * slope) ** 2, sd**2
        variance[:, 3:] = effect_sd[:, None] ** 2 * self.unit
        theta = prior_mean + rng.standard_normal((count, size)) * np.sqrt(variance)
        # Noise of a measured target beside its own sampling error: the run's mismatch (the base, whose features are all
        # zero, has none), and the error of smoothed dev times the slope at that point.
        per_dev = np.where(over > 0, mean[:, None], slope)
        own = mismatch[:, None] ** 2 * (self.features[:, 0] > 0) + per_dev**2 * self.spread
        # Each score of the target corrects the coefficients of the domains that it depends on.
        for share, scores, noise in zip(self.posterior.layout.share, self.scores, self.noise, strict=True):
            parts = np.flatnonzero(share)
            design = [
                share[d] * np.column_stack([np.ones(len(scores)), under[d], over[d], self.features]) for d in parts
            ]
            theta[parts] = _corrected(rng, design, theta[parts], variance[parts], scores, noise + share**2 @ own)
        return theta[:, 1], theta[:, 2], theta[:, 3:]

    def _row(self, recipe: Recipe | None) -> Floats:
        """Terms of a recipe; the base has none."""
        return np.zeros(self.terms.size) if recipe is None else self.terms.features([recipe])[0]


def _corrected(
    rng: np.random.Generator, design: list[Floats], theta: Floats, variance: Floats, scores: Floats, noise: Floats
) -> Floats:
    """A prior draw of the coefficients turned into a posterior draw by the scores (Matheron's rule).

    A simulated measurement of the prior draw, with noise, is compared with the real one; the gain of the difference is
    that of Gaussian conditioning. This needs no factor of the posterior covariance, which is (size x size).
    """
    rows = np.concatenate(design, axis=1)
    flat, spread = theta.ravel(), variance.ravel()
    error = rng.standard_normal(len(scores)) * np.sqrt(noise)
    covariance = (rows * spread) @ rows.T + np.diag(noise)
    step = np.linalg.solve(covariance, scores - rows @ flat - error)
    corrected: Floats = (flat + spread * (rows.T @ step)).reshape(theta.shape)
    return corrected


def dev_surfaces(profile: Profile, terms: Terms) -> DevSurfaces:
    """Dev of the trials as surfaces. The seed effect counts as noise here: a recipe that is not run yet has no seed."""
    recipes = [recipe for _, recipe in profile.trials.values()]
    noise = profile.noise + profile.smoothing.seed_sd**2
    center = profile.accuracy.mean(axis=0) if recipes else profile.base_dev[0]
    return fit(terms, terms.features(recipes), profile.accuracy, noise, center)


def unit_variances(terms: Terms) -> Floats:
    """Prior variances of a surface whose values have variance 1 on average over the space, (size,)."""
    raw = terms.variances(0.5, 1.0, 0.5, 0.3)
    # The average is over 64 random recipes of a fixed seed: the space has too many to sum over.
    rng = np.random.default_rng(0)
    pick = [rng.choice(np.flatnonzero(terms.axis == a), 64) for a in range(len(terms.space))]
    z, q = (np.sum([table[rows] for rows in pick], axis=0) for table in (terms.linear, terms.square))
    return np.asarray(raw / (terms.rows(z, q) ** 2 @ raw).mean())
