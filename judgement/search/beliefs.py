"""What a policy records as learned: the effect of each change, the distribution of each axis, the dead ends.

*Changes.* Every candidate's score is its round's level plus the effects of its changes: one Bayesian linear model, so a
pair of changes shares the credit, and a change seen once keeps a wide interval (design rule 2).

*Axes.* A value's probability is the share of posterior draws in which it is the best of its axis, all else as in the
standing recipe, mixed with an even share so that no belief becomes too certain to be corrected.

*Warm start.* Half of the first distribution is what an earlier campaign learned, half is even: within a campaign a
learned distribution keeps a quarter of evenness (`FLOOR`), and one learned on another base, data or target deserves
twice that doubt. A value that was closed there keeps a quarter of its even share: its evidence is not of this campaign,
so it is unlikely here but not forbidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judgement.basis import DIGITS
from judgement.cost import compute
from judgement.explain import decisions as explain
from judgement.history import History
from judgement.search.policy import DRAWS, Model
from judgement.search.prior import unseen_draws
from judgement.search.space import Floats
from judgement.trial import Trial
from schemas.campaign import Axis
from schemas.policy import AxisBelief, DeadEnd, Estimate, InterventionBelief, WarmStart
from schemas.recipe import Recipe, Value

LEVEL_SD = 1.0
"""Prior standard deviation of a round's level: anything in [0, 1]."""

EFFECT_SD = 0.2
"""Prior standard deviation of a change's effect on dev or target, in accuracy."""

FLOOR = 0.25
"""Share of each distribution that is spread evenly over the open values."""

PLATEAU = 0.003
"""Gain of the target below which a change is not worth another run: what a dozen axes add up to decides a campaign, so
it is well below what one run can show."""

HOPE = 0.05
"""Probability of a gain above the plateau below which a tried axis is retired."""

HARM = 0.975
"""Probability of harm at which a value is closed: two standard errors."""

WARM_TRUST = 0.5
"""Share of the earlier campaign's distribution in a warm start; the rest is even."""

WARM_CLOSED = 0.25
"""Share that a value keeps of its even share if it was a dead end of the earlier campaign."""


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
    columns = zip(names, mean[len(rounds) :], sd[len(rounds) :], strict=True)
    return {name: Estimate(mean=round(float(m), DIGITS), sd=round(float(s), DIGITS)) for name, m, s in columns}


def pooled_dev(trial: Trial) -> tuple[float, float]:
    """Dev accuracy of a candidate and its sampling variance; a confirmation adds its fresh items."""
    scores = [trial.scores[kind] for kind in ("dev", "confirm") if kind in trial.scores]
    total = sum(s.n for s in scores)
    value = sum(s.n * s.score for s in scores) / total
    return value, sum((s.n / total * s.se) ** 2 for s in scores)


def replicate_sd(history: History) -> float:
    """Standard deviation of dev between replicates of one recipe (the anchors), in accuracy.

    Few replicates say little about a spread, so the binomial error of one score counts as one more degree of freedom.
    """
    groups: dict[str, list[float]] = {}
    for trial in history.measured("dev"):
        if trial.recipe and not trial.changes:
            groups.setdefault(str(trial.recipe), []).append(trial.scores["dev"].score)
    scores = [t.scores["dev"] for t in history.measured("dev")]
    if not scores:
        return 0.0
    binomial = float(np.mean([s.se**2 for s in scores]))
    squares = sum(float(np.var(g)) * len(g) for g in groups.values())
    freedom = sum(len(g) - 1 for g in groups.values())
    return round(float(np.sqrt((binomial + squares) / (1 + freedom))), DIGITS)


def interventions(history: History, model: Model, spread: float) -> tuple[InterventionBelief, ...]:
    """The effect of each change on dev, and by the model on the target; `spread` as `replicate_sd` gives it."""
    trials = [t for t in history.measured("dev") if t.recipe]
    if not any(t.changes for t in trials):
        return ()
    dev = effects([_dev_observation(t, spread) for t in trials])
    target = effects([_target_observation(t, model) for t in trials])
    with_change = {name: [t for t in trials if name in change_names(t)] for name in dev}
    first = max(1.0, compute(history, history.campaign.recipe))
    return tuple(
        InterventionBelief(
            name=name,
            dev=dev[name],
            target=target[name],
            trials=tuple(t.candidate for t in with_change[name]),
            cost=_relative_cost(first, with_change[name]),
        )
        for name in sorted(dev)
    )


def _relative_cost(first: float, trials: Sequence[Trial]) -> float | None:
    """Mean training cost of the trials relative to that of the first recipe."""
    costs = [t.checkpoint.cost.compute for t in trials if t.checkpoint]
    return round(float(np.mean(costs)) / first, DIGITS) if costs else None


def change_names(trial: Trial) -> tuple[str, ...]:
    """Names of a candidate's changes."""
    return tuple(change.name for change in trial.changes)


def _dev_observation(trial: Trial, spread: float) -> Observation:
    value, variance = pooled_dev(trial)
    return Observation(trial.round, change_names(trial), value, variance + spread**2)


def _target_observation(trial: Trial, model: Model) -> Observation:
    estimate = model.predict_trial(trial.candidate)
    return Observation(trial.round, change_names(trial), estimate.mean, max(estimate.sd, 1e-3) ** 2)


def first_axes(space: Sequence[Axis], warm: WarmStart | None = None) -> tuple[AxisBelief, ...]:
    """The distributions before any evidence: even over the values, or tilted by what an earlier campaign learned."""
    return tuple(
        AxisBelief(knob=axis.knob, values=axis.values, probabilities=_shares(prior_mass(axis, warm))) for axis in space
    )


def revised_axes(
    history: History, model: Model, standing: Recipe, dead: Sequence[DeadEnd], rng: np.random.Generator
) -> tuple[AxisBelief, ...]:
    """The distributions after a round, from joint draws of all one-value moves of the standing recipe."""
    space = history.campaign.constitution.space
    moves = [standing.replace(axis.knob, value) for axis in space for value in axis.values]
    draws = _target_draws(history, model, [standing, *moves], rng)
    tried = {change.knob for t in history.measured("dev") for change in t.changes}
    closed = {(end.knob, end.value) for end in dead}
    beliefs, start = [], 1
    for axis in space:
        stop = start + len(axis.values)
        is_open = np.array([(axis.knob, value) not in closed for value in axis.values])
        prior = prior_mass(axis, history.campaign.warm)
        now, after = draws[:, :1], draws[:, start:stop]
        beliefs.append(_revised_axis(axis, standing, prior, now, after, is_open, axis.knob in tried))
        start = stop
    return tuple(beliefs)


def _target_draws(history: History, model: Model, recipes: Sequence[Recipe], rng: np.random.Generator) -> Floats:
    """Joint draws of the target: the model's, plus the part that dev cannot show, shape (draws, recipes)."""
    return np.round(model.samples(recipes, rng, DRAWS) + unseen_draws(history, recipes, rng, DRAWS), DIGITS)


def _revised_axis(
    axis: Axis,
    standing: Recipe,
    prior: Floats,
    now: Floats,
    after: Floats,
    is_open: NDArray[np.bool_],
    tried: bool,
) -> AxisBelief:
    """One axis from draws of the standing recipe, (draws, 1), and of its value's moves, (draws, values)."""
    others = is_open & np.array([value != standing.get(axis.knob) for value in axis.values])
    hope = float((after[:, others] - now > PLATEAU).any(axis=1).mean())
    retired = not others.any() or (tried and hope < HOPE)
    best = np.argmax(np.where(is_open, after, -np.inf), axis=1)
    share = prior * np.bincount(best, minlength=len(axis.values)) / len(after)
    mass = np.where(is_open, (1 - FLOOR) * share / share.sum() + FLOOR / is_open.sum(), 0.0)
    current = np.array([value == standing.get(axis.knob) for value in axis.values])
    if retired and current.any():
        mass = current.astype(float)
    return AxisBelief(knob=axis.knob, values=axis.values, probabilities=_shares(mass), retired=retired)


def _shares(mass: Floats) -> tuple[float, ...]:
    """Rounded probabilities whose sum is 1: the largest takes the rounding error."""
    parts = [round(float(m), 4) for m in mass / mass.sum()]
    largest = int(np.argmax(parts))
    parts[largest] = round(1.0 - sum(parts[:largest] + parts[largest + 1 :]), 4)
    return tuple(parts)


def prior_mass(axis: Axis, warm: WarmStart | None) -> Floats:
    """Mass of each of an axis's values before any evidence, mean 1; even without a warm start."""
    if warm is None:
        return np.ones(len(axis.values))
    closed = {(end.knob, end.value) for end in warm.dead_ends}
    even = np.array([WARM_CLOSED if (axis.knob, value) in closed else 1.0 for value in axis.values])
    return WARM_TRUST * _earlier_mass(axis, warm) + (1 - WARM_TRUST) * even


def _earlier_mass(axis: Axis, warm: WarmStart) -> Floats:
    """The earlier campaign's distribution over today's values, mean 1: a value that is new gets the mean."""
    earlier: dict[Value, float] = {}
    for other in warm.axes:
        if other.knob == axis.knob:
            earlier = dict(zip(other.values, other.probabilities, strict=True))
    shared = [earlier[value] for value in axis.values if value in earlier]
    if not sum(shared) > 0:
        return np.ones(len(axis.values))
    mean = sum(shared) / len(shared)
    return np.array([earlier.get(value, mean) / mean for value in axis.values])


def dead_ends(history: History, model: Model, standing: Recipe) -> tuple[DeadEnd, ...]:
    """The earlier dead ends, and the values that a target score has shown to harm since.

    Only a single change is closed, and only where the target itself was measured below the round's anchor: a fall of
    dev alone closes nothing, for dev may be what is wrong (design rule 9).
    """
    earlier = history.policy.dead_ends if history.policy else ()
    closed = {(end.knob, end.value) for end in earlier}
    new: dict[tuple[str, Value], DeadEnd] = {}
    for trial in history.measured("external"):
        end = _closed_by(history, model, trial)
        if end and (end.knob, end.value) not in closed and standing.get(end.knob) != end.value:
            new.setdefault((end.knob, end.value), end)
    return (*earlier, *new.values())


def _closed_by(history: History, model: Model, trial: Trial) -> DeadEnd | None:
    anchor = history.trials.get(f"r{trial.round}s0")
    if len(trial.changes) != 1 or anchor is None or "dev" not in anchor.scores:
        return None
    gain, better = model.gain(trial.candidate, anchor.candidate)
    lower = trial.scores["external"].score < model.predict_trial(anchor.candidate).mean
    if not lower or round(1 - better, DIGITS) < HARM:
        return None
    change = trial.changes[0]
    reason = explain.harm(change, trial, gain, 1 - better)
    return DeadEnd(knob=change.knob, value=change.after, evidence=(trial.candidate,), reason=reason)
