"""The evidence of a campaign as arrays: dev gains over the base, smoothed, and the target where it was measured.

Trial 0 is always the base. Scores taken under another stamp than the base's are left out (design rule 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from judgement.dev_smoothing import Smoothing, recipe_kernel, smooth
from judgement.history import History
from judgement.search.space import Floats, features
from judgement.trial import Trial
from schemas.campaign import Axis
from schemas.recipe import Recipe
from schemas.scores import BASE, Kind, Scores

UNKNOWN_VARIANCE = 0.25
"""Variance of the base's dev accuracy while it is not measured: anything between 0 and 1."""

EFFECT_LENGTH = 0.5
"""Length scale, in widths of an axis, of what recipes do to the target beyond dev."""

Point = str | Recipe
"""Where a target is predicted: a trial by its id, or a recipe not trained yet."""


@dataclass(frozen=True)
class Gains:
    """Dev gains over the base at P points, for D domains, and how the points are related."""

    mean: Floats
    """Posterior means, (D, P)."""
    covariance: Floats
    """Posterior covariances, (D, P, P)."""
    kernel: Floats
    """Correlation of recipes, (P, P); zero for the base."""
    same: Floats
    """1 where two points are the same run, (P, P); zero for the base."""
    trained: Floats
    """0 for the base, else 1, (P,)."""


@dataclass(frozen=True)
class Profile:
    """Dev and target of a campaign's trials."""

    domains: tuple[str, ...]
    """Domains in reporting order."""
    space: tuple[Axis, ...]
    """Axes of the search."""
    base_dev: Floats
    """Mean and variance of the base's dev accuracy per domain, (2, D)."""
    trials: dict[str, tuple[int, Recipe]]
    """Index in the smoothing and recipe of each trial with a dev score."""
    accuracy: Floats
    """Dev accuracy of these trials per domain, (N, D)."""
    noise: Floats
    """Variance of its sampling error, (N, D)."""
    smoothing: Smoothing
    """Dev accuracy over recipes."""
    targets: dict[str, Scores]
    """Target score of the trials that have dev as well, ordered by round and slot, the base first."""
    source: tuple[Trial, ...]
    """The trials behind all this: the base and the trials with a dev score."""

    @property
    def used(self) -> dict[str, Any]:
        """The scores used, by candidate: the evidence in the digest of a decision."""
        return {trial.candidate: _record(trial) for trial in self.source}

    @cached_property
    def itemised(self) -> bool:
        """Whether the target gives a score for each domain."""
        return all(set(self.domains) <= set(scores.domains) for scores in self.targets.values())

    def target(self, candidate: str, rows: Sequence[int]) -> float:
        """Measured target of a trial, mean over the given domains, or its total if the target gives no domains."""
        scores = self.targets[candidate]
        if not self.itemised:
            return scores.score
        return float(np.mean([scores.domains[self.domains[row]].score for row in rows]))

    def gains(self, points: Sequence[Point]) -> Gains:
        """Joint posterior of the dev gains at the points. Raises `KeyError` for a trial without a dev score."""
        trained = np.array([point != BASE for point in points], dtype=float)
        indexed = [(-1, p) if isinstance(p, Recipe) else self.trials[p] for p in points if p != BASE]
        rows = [features(recipe, self.space) if i < 0 else self.smoothing.x[i] for i, recipe in indexed]
        x = np.array(rows).reshape(len(indexed), self.smoothing.x.shape[1])
        index = np.array([i for i, _ in indexed], dtype=int)
        mean, covariance = self.smoothing.joint(x, index)
        same = ((index[:, None] == index[None, :]) & (index >= 0)) | np.eye(len(index), dtype=bool)
        # Places the trained points among all points; the base keeps gain 0 and is correlated with none.
        place = np.eye(len(points))[:, trained > 0]
        return Gains(
            mean=(mean - self.base_dev[0][:, None]) @ place.T,
            covariance=place @ (covariance + self.base_dev[1][:, None, None]) @ place.T,
            kernel=place @ recipe_kernel(x, x, EFFECT_LENGTH) @ place.T,
            same=place @ same.astype(float) @ place.T,
            trained=trained,
        )


def coordinates_of(recipes: Sequence[Recipe], space: tuple[Axis, ...]) -> Floats:
    """Coordinates of recipes, (N, F), also for none at all."""
    rows = [features(recipe, space) for recipe in recipes]
    return np.array(rows) if rows else np.zeros((0, len(features(Recipe(), space))))


def profile(history: History) -> Profile:
    """The evidence so far, without the trials that failed or are not measured yet."""
    constitution, base = history.campaign.constitution, history.base
    domains, space = constitution.domains, constitution.space
    scored = [t for t in history.measured("dev") if t.recipe and _comparable(t, base, "dev")]
    trials = {t.candidate: (i, t.recipe) for i, t in enumerate(scored) if t.recipe}
    accuracy = np.array([_pooled(t, domains) for t in scored]).reshape(len(scored), 2, len(domains))
    x = coordinates_of([recipe for _, recipe in trials.values()], space)
    base_dev = _base_dev(base, accuracy[:, 0], domains)
    targets = [t for t in history.measured("external") if _comparable(t, base, "external")]
    used = [t for t in targets if t is base or t.candidate in trials]
    return Profile(
        domains=domains,
        space=space,
        base_dev=base_dev,
        trials=trials,
        accuracy=accuracy[:, 0],
        noise=accuracy[:, 1],
        smoothing=smooth(x, accuracy[:, 0], accuracy[:, 1], base_dev[0]),
        targets={t.candidate: t.scores["external"] for t in used},
        source=(base, *scored),
    )


def _comparable(trial: Trial, base: Trial, kind: Kind) -> bool:
    return kind not in base.stamps or trial.stamps.get(kind) == base.stamps[kind]


def _pooled(trial: Trial, domains: tuple[str, ...]) -> Floats:
    """Accuracy and its variance per domain, (2, D); a confirmation counts as more items of dev."""
    kinds: tuple[Kind, ...] = ("dev", "confirm")
    same_stamp = [k for k in kinds if k in trial.scores and trial.stamps.get(k) == trial.stamps.get("dev")]
    sets = [trial.scores[kind] for kind in same_stamp]
    n = np.array([[scores.domains[d].n for d in domains] for scores in sets], dtype=float)
    right = np.array([[scores.domains[d].score for d in domains] for scores in sets]) * n
    total, shrunk = n.sum(axis=0), (right.sum(axis=0) + 2) / (n.sum(axis=0) + 4)
    return np.array([right.sum(axis=0) / total, shrunk * (1 - shrunk) / (total + 4)])


def _base_dev(base: Trial, accuracy: Floats, domains: tuple[str, ...]) -> Floats:
    if "dev" in base.scores:
        return _pooled(base, domains)
    center = accuracy.mean(axis=0) if len(accuracy) else np.full(len(domains), 0.5)
    return np.array([center, np.full(len(domains), UNKNOWN_VARIANCE)])


def _record(trial: Trial) -> dict[str, Any]:
    """A trial's recipe and scores, without times and ids."""
    kinds = ("dev", "confirm", "external")
    scores = {kind: trial.scores[kind].model_dump(mode="json") for kind in kinds if kind in trial.scores}
    return {"recipe": trial.recipe.model_dump(mode="json") if trial.recipe else None, "scores": scores}
