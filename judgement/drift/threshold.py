"""The drift threshold of a new campaign, set by simulation so that it holds the constitution's false alarm rate.

The worlds are draws from the test's own hypothesis of no drift, with the campaign's space, sizes and budgets; a search
that climbs dev runs through them, because selection is what makes chance look like drift. The threshold is raised until
no more of them alarm than the constitution allows, and it is fixed before any result exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judgement.drift.assess import assess, strength
from judgement.drift.hypotheses import DEVIATION, SLOPE_PRIOR, SLOPES
from judgement.history import History
from judgement.search.space import Floats, features
from judgement.statistics import clopper_pearson, scores, share_error
from judgement.trial import Trial
from schemas.campaign import Campaign, Constitution, NullRun
from schemas.recipe import Recipe
from schemas.scores import BASE, Kind, Scores
from schemas.targets import Outside

CAMPAIGNS = 200
"""Simulated campaigns: a rate of 5 % is then known to about 3 points."""

MISMATCH_SD, SEED_SD = 0.025, 0.02
"""Standard deviations of one run in one domain, in accuracy: the target's that dev and recipe do not explain, and the
seed's effect on dev."""

RISE, EFFECT_SD, BEND_SD, BENDS, WIDEST = 0.1, 0.25, 0.8, 5, 0.3
"""The response of dev to recipes: most raise it, coordinates add up, interact a little, and saturate."""


def with_threshold(campaign: Campaign, count: int = CAMPAIGNS) -> Campaign:
    """The campaign with the threshold that holds its rate of false alarms, and the simulation's result beside it.

    A constitution without a rate keeps its threshold.
    """
    law = campaign.constitution
    if (allowed := law.drift.false_alarms) is None:
        return campaign
    simulated = np.sort(strengths(campaign, count))[::-1]
    threshold = max(law.drift.threshold, float(f"{simulated[int(allowed * count)] * 1.001:.4g}"))
    alarms = int((simulated >= threshold).sum())
    null = NullRun(campaigns=count, alarms=alarms, upper=round(clopper_pearson(alarms, count)[1], 4))
    drift = law.drift.model_copy(update={"threshold": threshold, "null": null})
    return campaign.model_copy(update={"constitution": law.model_copy(update={"drift": drift})})


def strengths(campaign: Campaign, count: int) -> Floats:
    """The strongest evidence for drift in each of `count` simulated campaigns without drift, (count,)."""
    seeds = np.random.SeedSequence([campaign.seed, 0xD21F7]).spawn(count)
    return np.array([_strongest(campaign, np.random.default_rng(seed)) for seed in seeds])


@dataclass(frozen=True)
class World:
    """Dev by recipe, and a target that is linear in it. D domains, F coordinates of a recipe."""

    law: Constitution
    start: Recipe
    base: Floats
    """Dev of the base, (D,)."""
    target: Floats
    """Target of the base, (D,)."""
    slope: Floats
    """Points of target per point of dev, (D,)."""
    effects: Floats
    """(D, F)."""
    bends: Floats
    """(D, BENDS, F)."""

    @classmethod
    def random(cls, campaign: Campaign, rng: np.random.Generator) -> World:
        """A random world under the hypothesis that dev tracks the target."""
        law, start = campaign.constitution, campaign.recipe
        count, width = len(law.domains), len(features(start, law.space))
        common = float(rng.choice(np.asarray(SLOPES), p=SLOPE_PRIOR / SLOPE_PRIOR.sum()))
        slope = common * (1 + DEVIATION * rng.normal(size=count))
        base, room = rng.uniform(0.05, 0.6, count), slope * WIDEST
        target = rng.uniform(np.minimum(0.05 + room, 0.5), np.maximum(0.95 - room, 0.5))
        effects = rng.normal(0, EFFECT_SD, (count, width))
        return cls(law, start, base, target, slope, effects, rng.normal(0, BEND_SD, (count, BENDS, width)))

    def dev(self, recipe: Recipe, rng: np.random.Generator) -> Floats:
        """True dev of one run, (D,)."""
        away = features(recipe, self.law.space) - features(self.start, self.law.space)
        gain = RISE + self.effects @ away + 0.2 * np.sin(self.bends @ away).sum(axis=1)
        gain = WIDEST * np.tanh(gain / WIDEST)
        return np.asarray(np.clip(self.base + gain + rng.normal(0, SEED_SD, len(self.base)), 0.01, 0.99))

    def external(self, dev: Floats, rng: np.random.Generator) -> Floats:
        """True target of the run with that dev, (D,)."""
        mismatch = rng.normal(0, MISMATCH_SD, len(dev))
        return np.asarray(np.clip(self.target + self.slope * (dev - self.base) + mismatch, 0.0, 1.0))

    def measured(self, kind: Kind, truth: Floats, rng: np.random.Generator) -> Scores:
        """Binomial scores of a set's size; only the total if the target gives no domains."""
        if kind == "external" and isinstance(self.law.target, Outside):
            return _board_score(self.law.target, float(truth.mean()), rng)
        items = getattr(self.law.evaluation, kind).items
        if kind == "external" and self.law.target == "sealed" and not self.law.itemised_target:
            n = items * len(self.law.domains_of(kind))
            return scores({"all": (int(rng.binomial(n, float(truth.mean()))), n)}).model_copy(update={"domains": {}})
        right = rng.binomial(items, truth)
        measured = scores({d: (int(k), items) for d, k in zip(self.law.domains, right, strict=True)})
        itemised = kind != "external" or self.law.target == "sealed"
        return measured if itemised else measured.model_copy(update={"domains": {}})


def _board_score(target: Outside, truth: float, rng: np.random.Generator) -> Scores:
    """A board's score of this accuracy: one number, with the error that the campaign states."""
    if target.items:
        share = float(rng.binomial(target.items, truth)) / target.items
        return Scores(score=share, se=share_error(share, target.items), n=target.items, domains={})
    se = (target.se or 0.0) / (target.highest - target.lowest)
    return Scores(score=float(np.clip(rng.normal(truth, se), 0.0, 1.0)), se=se, n=1, domains={})


def _strongest(campaign: Campaign, rng: np.random.Generator) -> float:
    history, world = History("null", position=1, campaign=campaign), World.random(campaign, rng)
    _measure(history, Trial(BASE), world, world.base, rng, queried=True)
    standing, strengths = campaign.recipe, [0.0]
    for round_ in range(1, world.law.rounds + 1):
        standing = _round(history, world, round_, standing, rng)
        strengths.append(strength(assess(history, round_)))
    return max(strengths)


def _round(history: History, world: World, round_: int, standing: Recipe, rng: np.random.Generator) -> Recipe:
    """One round of climbing dev: train, query the highest and random others; returns the next standing recipe."""
    count = world.law.candidates
    recipes = [standing, *(_redrawn(standing, world.law, rng) for _ in range(count - 1))]
    truths = [world.dev(recipe, rng) for recipe in recipes]
    trials = [Trial(f"r{round_}s{i}", round_, i, recipe) for i, recipe in enumerate(recipes)]
    for trial, truth in zip(trials, truths, strict=True):
        trial.scores["dev"] = world.measured("dev", truth, rng)
    order = sorted(range(count), key=lambda i: -trials[i].scores["dev"].score)
    queried = [order[0], *rng.permutation(order[1:])][: _queries_left(history)]
    for i, trial in enumerate(trials):
        _measure(history, trial, world, truths[i], rng, queried=i in queried)
    return recipes[order[0]]


def _queries_left(history: History) -> int:
    budget = history.campaign.constitution.budget
    return min(budget.external_per_round, budget.external_queries - len(history.measured("external")))


def _measure(
    history: History, trial: Trial, world: World, truth: Floats, rng: np.random.Generator, *, queried: bool
) -> None:
    kinds: Sequence[Kind] = ("dev", "confirm") if queried else ("dev",)
    for kind in kinds:
        trial.scores.setdefault(kind, world.measured(kind, truth, rng))
    if queried:
        target = world.target if trial.candidate == BASE else world.external(truth, rng)
        trial.scores["external"] = world.measured("external", target, rng)
    history.trials[trial.candidate] = trial


def _redrawn(recipe: Recipe, law: Constitution, rng: np.random.Generator) -> Recipe:
    """The recipe with up to `max_changes` knobs redrawn."""
    count = min(int(rng.integers(1, law.max_changes + 1)), len(law.space))
    for index in rng.choice(len(law.space), count, replace=False):
        axis = law.space[index]
        recipe = recipe.replace(axis.knob, axis.values[rng.integers(len(axis.values))])
    return recipe
