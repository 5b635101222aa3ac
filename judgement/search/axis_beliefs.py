"""What the loop believes about each axis: where the best value may lie, when to stop looking, what is closed for good.

A value's probability is the share of posterior draws in which it is the best of its axis, all else as in the standing
recipe, mixed with an even share so that no belief is ever too sure to be corrected. What an earlier campaign learned
weighs on these shares for as long as the draws leave a choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from judgement.basis import DIGITS
from judgement.explain import decisions as explain
from judgement.history import History
from judgement.search.pool import Model, imagined
from judgement.search.space import Floats
from judgement.search.warm_start import carried
from judgement.trial import Trial
from schemas.campaign import Axis
from schemas.policy import AxisBelief, DeadEnd, WarmStart
from schemas.recipe import Recipe, Value

FLOOR = 0.25
"""Share of each distribution that is spread evenly over the open values."""

PLATEAU = 0.003
"""Gain of the target below which a change is not worth another run: what a dozen axes add up to decides a campaign, so
it is well below what one run can show."""

HOPE = 0.05
"""Probability of a gain above the plateau below which a tried axis is retired."""

HARM = 0.975
"""Probability of harm at which a value is closed: two standard errors."""


def opening(space: Sequence[Axis], warm: WarmStart | None = None) -> tuple[AxisBelief, ...]:
    """The distributions before any evidence: even over the values, or tilted by what an earlier campaign learned."""
    return tuple(
        AxisBelief(knob=axis.knob, values=axis.values, probabilities=_shares(carried(axis, warm))) for axis in space
    )


def revised(
    history: History, model: Model, standing: Recipe, dead: Sequence[DeadEnd], rng: np.random.Generator
) -> tuple[AxisBelief, ...]:
    """The distributions after a round, from joint draws of all one-value moves of the standing recipe."""
    space = history.campaign.constitution.space
    moves = [[standing.replace(axis.knob, value) for value in axis.values] for axis in space]
    drawn = imagined(history, model, [standing, *(recipe for axis in moves for recipe in axis)], rng)
    tried = {change.knob for t in history.measured("dev") for change in t.changes}
    closed = {(end.knob, end.value) for end in dead}
    beliefs, start = [], 1
    for axis in space:
        stop = start + len(axis.values)
        is_open = np.array([(axis.knob, value) not in closed for value in axis.values])
        prior = carried(axis, history.campaign.warm)
        beliefs.append(_revise(axis, standing, prior, drawn[:, :1], drawn[:, start:stop], is_open, axis.knob in tried))
        start = stop
    return tuple(beliefs)


def _revise(
    axis: Axis,
    standing: Recipe,
    prior: Floats,
    now: Floats,
    drawn: Floats,
    is_open: NDArray[np.bool_],
    tried: bool,
) -> AxisBelief:
    others = is_open & np.array([value != standing.get(axis.knob) for value in axis.values])
    hope = float((drawn[:, others] - now > PLATEAU).any(axis=1).mean())
    best = np.argmax(np.where(is_open, drawn, -np.inf), axis=1)
    share = prior * np.bincount(best, minlength=len(axis.values)) / len(drawn)
    return _belief(axis, standing, share, is_open, retired=not others.any() or (tried and hope < HOPE))


def _belief(
    axis: Axis, standing: Recipe, share: Floats, is_open: NDArray[np.bool_], *, retired: bool = False
) -> AxisBelief:
    held = np.array([value == standing.get(axis.knob) for value in axis.values])
    mass = np.where(is_open, (1 - FLOOR) * share / share.sum() + FLOOR / is_open.sum(), 0.0)
    if retired and held.any():
        mass = held.astype(float)
    return AxisBelief(knob=axis.knob, values=axis.values, probabilities=_shares(mass), retired=retired)


def _shares(mass: Floats) -> tuple[float, ...]:
    """Rounded probabilities whose sum is 1: the largest takes what rounding left over."""
    parts = [round(float(m), 4) for m in mass / mass.sum()]
    largest = int(np.argmax(parts))
    parts[largest] = round(1.0 - sum(parts[:largest] + parts[largest + 1 :]), 4)
    return tuple(parts)


def dead_ends(history: History, model: Model, standing: Recipe) -> tuple[DeadEnd, ...]:
    """Those before, and the values that a target score has shown to harm since.

    Only a single change is closed, and only where the target itself was measured below the round's anchor: a fall of
    dev alone closes nothing, for dev may be what is wrong (design rule 9).
    """
    known = history.policy.dead_ends if history.policy else ()
    closed = {(end.knob, end.value) for end in known}
    found: dict[tuple[str, Value], DeadEnd] = {}
    for trial in history.measured("external"):
        end = _closed_by(history, model, trial)
        if end and (end.knob, end.value) not in closed and standing.get(end.knob) != end.value:
            found.setdefault((end.knob, end.value), end)
    return (*known, *found.values())


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
