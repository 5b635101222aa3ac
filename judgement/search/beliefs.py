"""What the loop believes about single changes, from candidates that may carry several.

Every candidate's score is its round's level plus the effects of its changes: one Bayesian linear model, so a pair of
changes shares the credit honestly, and a change seen once keeps a wide interval (design rule 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judgement.basis import DIGITS
from judgement.cost import compute
from judgement.history import History
from judgement.search.pool import Model
from judgement.trial import Trial
from schemas.policy import Estimate, InterventionBelief

LEVEL_SD = 1.0
"""Prior standard deviation of a round's level: anything in [0, 1]."""

EFFECT_SD = 0.2
"""Prior standard deviation of a change's effect on dev or target, in accuracy."""


@dataclass(frozen=True)
class Observation:
    """One candidate's measurement."""

    round: int
    names: tuple[str, ...]
    """Names of its changes; none for an anchor."""
    value: float
    variance: float


def effects(observations: Sequence[Observation]) -> dict[str, Estimate]:
    """Posterior effect of every named change on the value, in order of first appearance."""
    rounds = list(dict.fromkeys(o.round for o in observations))
    names = list(dict.fromkeys(name for o in observations for name in o.names))
    design = np.array([[o.round == r for r in rounds] + [n in o.names for n in names] for o in observations], float)
    weight = 1 / np.array([o.variance for o in observations])
    prior = np.diag([LEVEL_SD**-2] * len(rounds) + [EFFECT_SD**-2] * len(names))
    covariance = np.linalg.inv(design.T * weight @ design + prior)
    mean = covariance @ (design.T @ (weight * np.array([o.value for o in observations])))
    sd = np.sqrt(np.diag(covariance))
    found = zip(names, mean[len(rounds) :], sd[len(rounds) :], strict=True)
    return {name: Estimate(mean=round(float(m), DIGITS), sd=round(float(s), DIGITS)) for name, m, s in found}


def seen(trial: Trial) -> tuple[float, float]:
    """Dev accuracy of a candidate and its sampling variance; a confirmation adds its fresh items."""
    measured = [trial.scores[kind] for kind in ("dev", "confirm") if kind in trial.scores]
    total = sum(s.n for s in measured)
    value = sum(s.n * s.score for s in measured) / total
    return value, sum((s.n / total * s.se) ** 2 for s in measured)


def noise(history: History) -> float:
    """Standard deviation of dev between replicates of one recipe (the anchors), in accuracy.

    Few replicates say little about a spread, so the binomial error of one score counts as one more degree of freedom.
    """
    groups: dict[str, list[float]] = {}
    for trial in anchors(history):
        groups.setdefault(str(trial.recipe), []).append(trial.scores["dev"].score)
    scores = [t.scores["dev"] for t in history.measured("dev")]
    if not scores:
        return 0.0
    binomial = float(np.mean([s.se**2 for s in scores]))
    squares = sum(float(np.var(g)) * len(g) for g in groups.values())
    freedom = sum(len(g) - 1 for g in groups.values())
    return round(float(np.sqrt((binomial + squares) / (1 + freedom))), DIGITS)


def anchors(history: History) -> list[Trial]:
    """The anchors that have a dev score, by round."""
    return [t for t in history.measured("dev") if t.recipe and not t.changes]


def interventions(history: History, model: Model, spread: float) -> tuple[InterventionBelief, ...]:
    """What each change did to dev and, by the model, to the target."""
    trials = [t for t in history.measured("dev") if t.recipe]
    if not any(t.changes for t in trials):
        return ()
    dev = effects([_dev(t, spread) for t in trials])
    target = effects([_target(t, model) for t in trials])
    named = [(names(t), t) for t in trials]
    carried = {name: [t for held, t in named if name in held] for name in dev}
    first = max(1.0, compute(history, history.campaign.recipe))
    return tuple(
        InterventionBelief(
            name=name,
            dev=dev[name],
            target=target[name],
            trials=tuple(t.candidate for t in carried[name]),
            cost=_cost(first, carried[name]),
        )
        for name in sorted(dev)
    )


def _cost(first: float, trials: Sequence[Trial]) -> float | None:
    """Mean training cost of the trials against that of the first recipe."""
    costs = [t.checkpoint.cost.compute for t in trials if t.checkpoint]
    return round(float(np.mean(costs)) / first, DIGITS) if costs else None


def names(trial: Trial) -> tuple[str, ...]:
    """Names of a candidate's changes."""
    return tuple(change.name for change in trial.changes)


def _dev(trial: Trial, spread: float) -> Observation:
    value, variance = seen(trial)
    return Observation(trial.round, names(trial), value, variance + spread**2)


def _target(trial: Trial, model: Model) -> Observation:
    estimate = model.predict_trial(trial.candidate)
    return Observation(trial.round, names(trial), estimate.mean, max(estimate.sd, 1e-3) ** 2)
