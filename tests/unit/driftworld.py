"""Campaigns on recorded or simulated scores, folded without a log: what the judgement tests look at."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from judgement.drift.assess import assess, verdicts
from judgement.history import History
from judgement.search.space import features
from judgement.statistics import scores
from judgement.trial import Trial
from schemas import events as e
from schemas.campaign import DOMAINS, Axis, Campaign
from schemas.evidence import Basis, Contrast, ScopeAssessment
from schemas.recipe import Recipe
from schemas.scores import BASE, Kind, Scores

SPACE = (
    Axis(knob="traces", values=(0.0, 0.5, 1.0), scale="linear"),
    Axis(knob="difficulty", values=((1.0, 0.0, 0.0), (2.0, 1.0, 0.0), (1.0, 2.0, 0.5))),
    Axis(knob="wordings", values=((1.0, 0.0, 0.0), (2.0, 1.0, 1.0), (1.0, 1.0, 1.0))),
    Axis(knob="steps", values=(120, 250, 500), scale="log"),
    Axis(knob="lr", values=(1e-3, 3e-3, 6e-3), scale="log"),
    Axis(knob="curriculum", values=("shuffled", "easy_first", "hard_first")),
)
NARROW, DIVERSE = (1.0, 0.0, 0.0), (1.0, 2.0, 0.5)
EVEN = (1.0, 1.0, 1.0)


def campaign(**drift):
    """A campaign of the demo's size."""
    items = {"dev": 100, "confirm": 100, "external": 150, "final": 150}
    return Campaign.model_validate(
        {
            "name": "world",
            "constitution": {
                "evaluation": {kind: {"items": n} for kind, n in items.items()},
                "budget": {"external_queries": 100},
                "space": [axis.model_dump() for axis in SPACE],
                "drift": drift,
            },
        }
    )


def history(**drift):
    """A campaign with nothing measured yet."""
    made = History("c", position=1)
    made.campaign = campaign(**drift)
    return made


def counted(accuracies, n):
    """Scores of the given accuracies (D,), rounded to whole items."""
    return scores({d: (round(float(a) * n), n) for d, a in zip(DOMAINS, accuracies, strict=True)})


def drawn(accuracies, n, rng):
    """Scores of a random draw of n items per domain."""
    return scores({d: (int(rng.binomial(n, a)), n) for d, a in zip(DOMAINS, np.clip(accuracies, 0, 1), strict=True)})


def add(made, candidate, recipe=None, round_=0, slot=0, **measured: Any):
    """Put a trial with its scores into the history."""
    trial = Trial(BASE) if candidate == BASE else Trial(candidate, round=round_, slot=slot, recipe=recipe)
    trial.scores.update(cast(dict[Kind, Scores], measured))
    made.trials[candidate] = trial
    made.position += 1
    return made


def anyhow(recipe=None, **knobs):
    """A recipe with some knobs set."""
    return (recipe or Recipe()).model_copy(update=knobs)


RECORDED = (
    ("narrow answer 120", anyhow(steps=120), (32, 7, 100, 13, 0, 68), (7, 3, 53, 12, 10, 7)),
    ("narrow answer 400", anyhow(steps=400), (48, 7, 78, 17, 0, 98), (8, 0, 48, 15, 5, 12)),
    ("narrow trace 250", anyhow(steps=250, traces=1.0), (35, 2, 80, 98, 100, 58), (3, 2, 57, 33, 22, 7)),
    (
        "diverse answer 250",
        anyhow(steps=250, difficulty=DIVERSE, wordings=EVEN),
        (27, 3, 100, 13, 0, 32),
        (18, 5, 83, 2, 7, 17),
    ),
    (
        "diverse trace 250",
        anyhow(steps=250, traces=1.0, difficulty=DIVERSE, wordings=EVEN),
        (27, 2, 58, 83, 100, 13),
        (15, 3, 72, 32, 17, 7),
    ),
    ("narrow trace 500", anyhow(steps=500, traces=1.0), (37, 8, 100, 100, 100, 87), (5, 7, 58, 25, 15, 8)),
    (
        "diverse trace 500",
        anyhow(steps=500, traces=1.0, difficulty=DIVERSE, wordings=EVEN),
        (18, 5, 58, 90, 100, 22),
        (10, 2, 63, 57, 68, 5),
    ),
)
"""Dev and external (% right per domain) of real runs of the tiny model on clean hold-outs."""

RECORDED_BASE = ((10, 3, 58, 10, 38, 32), (8, 2, 68, 3, 8, 10))


def recorded(order=tuple(range(7)), n=(100, 150)):
    """The recorded runs as a campaign, two of them measured on the target per round, with an unmeasured anchor."""
    made = add(history(), BASE, **_both(RECORDED_BASE, n))
    for place, index in enumerate(order):
        _, recipe, dev, external = RECORDED[index]
        round_, slot = place // 2 + 1, place % 2 + 1
        add(made, f"r{round_}s{slot}", recipe, round_, slot, **_both((dev, external), n))
    return made


def _both(percent, n):
    dev, external = (np.array(p) / 100 for p in percent)
    return {"dev": counted(dev, n[0]), "external": counted(external, n[1])}


def detected(scope, level, round_=1, direction="inflated"):
    """A standing drift."""
    finding = ScopeAssessment(
        scope=scope,
        direction=direction,
        bayes_factor=100.0,
        posterior=0.99,
        level=level,
        slope={"mean": -0.1, "sd": 0.1},
        highest_dev=Contrast(candidate="r1s0", dev=0.5, target=0.0),
        highest_target=Contrast(candidate="r1s0", dev=0.5, target=0.0),
    )
    basis = Basis(position=0, digest="0" * 64, seed=0)
    return e.DriftDetected(round=round_, assessment=finding, threshold=10.0, evidence=(), words="", basis=basis)


@dataclass(frozen=True)
class Tracking:
    """A world without drift: the target is linear in dev, up to a mismatch of each run. (D domains, F coordinates.)"""

    base: np.ndarray
    """Dev of the base, (D,)."""
    target: np.ndarray
    """Target of the base, (D,)."""
    slope: np.ndarray
    """Points of target per point of dev, (D,)."""
    effects: np.ndarray
    """Effect of each coordinate of the recipe on dev, (D, F)."""
    bends: np.ndarray
    """How coordinates act together, (D, 5, F)."""

    def dev(self, recipe, rng):
        """True dev of one run; seeds differ by 2 points."""
        away = features(recipe, SPACE) - features(anyhow(steps=120), SPACE)
        gain = 0.1 + self.effects @ away + 0.2 * np.sin(self.bends @ away).sum(axis=1)
        return np.clip(self.base + gain + rng.normal(0, 0.02, len(self.base)), 0.01, 0.99)

    def external(self, dev, rng, mismatch=0.015):
        """True target of the run with that dev."""
        return np.clip(self.target + self.slope * (dev - self.base) + rng.normal(0, mismatch, len(dev)), 0, 1)


def tracking(kind, rng):
    """A random world: `twin` (target distributed as dev), `mild` (slopes 1 +- .1) or `scaled` (slopes .3 +- .05)."""
    count, width = len(DOMAINS), len(features(Recipe(), SPACE))
    base = np.array(RECORDED_BASE[0]) / 100 if rng.random() < 0.5 else rng.uniform(0.05, 0.8, count)
    slope, target = {
        "twin": (np.ones(count), base),
        "mild": (1 + 0.1 * rng.normal(size=count), np.clip(base + rng.normal(0, 0.02, count), 0.02, 0.9)),
        "scaled": (0.3 + 0.05 * rng.normal(size=count), rng.uniform(0.05, 0.3, count)),
    }[kind]
    effects, bends = rng.normal(0, 0.25, (count, width)), rng.normal(0, 0.8, (count, 5, width))
    return Tracking(base, target, slope, effects, bends)


def without_drift(kind, seed, rounds=4, candidates=4, n=(100, 150)):
    """The alarms of one dev-greedy campaign in a world without drift: two target scores a round, confirmed on dev."""
    rng = np.random.default_rng(seed)
    world = tracking(kind, rng)
    made = add(history(), BASE, dev=drawn(world.base, n[0], rng), external=drawn(world.target, n[1], rng))
    standing, alarms = anyhow(steps=120), []
    for round_ in range(1, rounds + 1):
        recipes = [standing, *(changed(standing, rng) for _ in range(candidates - 1))]
        truths = [world.dev(recipe, rng) for recipe in recipes]
        scored = [drawn(truth, n[0], rng) for truth in truths]
        order = sorted(range(candidates), key=lambda slot: -scored[slot].score)
        asked = {order[0], int(rng.choice(order[1:]))}
        for slot, (recipe, truth) in enumerate(zip(recipes, truths, strict=True)):
            more = {"confirm": drawn(truth, n[0], rng), "external": drawn(world.external(truth, rng), n[1], rng)}
            measured = {"dev": scored[slot], **(more if slot in asked else {})}
            add(made, f"r{round_}s{slot}", recipe, round_, slot, **measured)
        standing = recipes[order[0]]
        alarms += conclude(made, round_)
    return alarms


def changed(recipe, rng):
    """The recipe with one or two knobs drawn anew."""
    for index in rng.choice(len(SPACE), rng.integers(1, 3), replace=False):
        axis = SPACE[index]
        recipe = anyhow(recipe, **{axis.knob: axis.values[rng.integers(len(axis.values))]})
    return recipe


def conclude(made, round_):
    """Assess the round and fold the result into the history; returns the verdicts."""
    assessed = assess(made, round_)
    found = verdicts(made, assessed)
    made.assessments[round_] = assessed
    for verdict in found:
        if isinstance(verdict, e.DriftDetected):
            made.standing_drifts[verdict.assessment.scope] = verdict
        else:
            del made.standing_drifts[verdict.scope]
    return found


def totals(made):
    """The same campaign on a target that gives only the total."""
    for trial in made.trials.values():
        if "external" in trial.scores:
            trial.scores["external"] = trial.scores["external"].model_copy(update={"domains": {}})
    return made
