"""Which recipe the next round starts from, which best score is announced, and which candidate wins.

Dev alone never promotes: a candidate counts once it was measured on fresh items or on the target (design rule 5), and
a target score outranks any prediction. What a standing drift has disowned is already missing from the model's gains.

A new best on the target is announced only where it climbs a whole step above the last one: people change course by a
board's leader, and chance alone makes new leaders. The Ladder (Blum and Hardt 2015, arXiv 1502.04585) releases a score
only if it beats the best so far by more than the noise; the step here is the standard error of the difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from judgement.basis import DIGITS
from judgement.cost import price
from judgement.guards import objection
from judgement.history import History
from judgement.search.policy import Model
from judgement.statistics import probability_positive
from judgement.trial import Trial
from schemas.policy import Best, Estimate, InterventionBelief
from schemas.recipe import Recipe
from schemas.scores import BASE, Scores


@dataclass(frozen=True)
class Rival:
    """A candidate against the standing recipe."""

    trial: Trial
    gain: Estimate
    """Of the target, over the standing recipe, less its price."""
    probability: float
    """That the gain is above zero."""

    @property
    def rank(self) -> tuple[bool, float]:
        """Measured on the target first, then by gain."""
        return "external" in self.trial.scores, round(self.gain.mean, DIGITS)


def standing_trial(history: History, standing: Recipe) -> str:
    """The best measured replicate of the standing recipe, or the base where none was measured."""
    replicates = [t for t in history.measured("dev") if t.recipe == standing]
    best = max(replicates, key=lambda t: ("external" in t.scores, t.round), default=history.base)
    return best.candidate


def rivals(history: History, model: Model, standing: Recipe) -> list[Rival]:
    """The candidates that count against the standing recipe, best first."""
    over = standing_trial(history, standing)
    trials = [t for t in history.measured("dev") if t.recipe and t.recipe != standing and _counts(history, t)]
    against = [_rival(history, t, standing, *model.gain(t.candidate, over)) for t in trials]
    return sorted(against, key=lambda rival: rival.rank, reverse=True)


def _rival(history: History, trial: Trial, standing: Recipe, gain: Estimate, probability: float) -> Rival:
    """The rival; the constitution's price for the extra cost over the standing recipe is taken off its gain."""
    if not (trial.recipe and history.campaign.constitution.price):
        return Rival(trial, gain, probability)
    own, current = price(history, [trial.recipe, standing])
    net = Estimate(mean=round(gain.mean - float(own - current), DIGITS), sd=gain.sd)
    return Rival(trial, net, probability_positive(net))


def _counts(history: History, trial: Trial) -> bool:
    measured = "confirm" in trial.scores or "external" in trial.scores
    return measured and not trial.failed and objection(history, trial) is None


def promotion(rivals: Sequence[Rival], threshold: float) -> Rival | None:
    """The first rival that is better than the standing recipe with the probability that the constitution requires."""
    return next((rival for rival in rivals if round(rival.probability, DIGITS) >= threshold), None)


def nearest(rivals: Sequence[Rival]) -> Rival | None:
    """The rival with the highest probability of being better."""
    return max(rivals, key=lambda rival: round(rival.probability, DIGITS), default=None)


def mode(history: History, beliefs: Sequence[InterventionBelief]) -> str:
    """The search in a word. It describes the posterior; nothing is decided by it.

    The three are the ones that arXiv 2606.20657 names for its rounds.
    """
    last = history.assessments[max(history.assessments)] if history.assessments else None
    if history.standing_drifts or (last and last.posterior > 0.5):
        return "proxy-aware"
    certain = any(belief.target.mean > 2 * belief.target.sd for belief in beliefs)
    return "stack and calibrate" if certain else "recipe stabilisation"


def winner(history: History, model: Model) -> tuple[str, Estimate]:
    """The trained candidate with the highest posterior mean of the target, or the base where none beats it.

    Candidates that the guards object to are left out.
    """
    admitted = (t for t in history.measured("dev") if t.recipe and not t.failed and objection(history, t) is None)
    trials = [history.base, *admitted]
    estimates = {t.candidate: model.predict_trial(t.candidate) for t in trials if t.candidate == BASE or t.checkpoint}
    best = max(estimates, key=lambda candidate: round(estimates[candidate].mean, DIGITS))
    return best, estimates[best]


def announced_best(history: History) -> Best | None:
    """The last announced best, unless a score climbs a step above it; None without the base's score."""
    if "external" not in history.base.scores:
        return None
    last = history.policy.best if history.policy else None
    reference = history.trials[last.candidate] if last else history.base
    stamp = history.base.stamps.get("external")
    comparable = [t for t in history.measured("external") if t.stamps.get("external") == stamp]  # design rule 4
    highest = max(comparable, key=lambda t: round(t.scores["external"].score, DIGITS))
    leader = highest if climbs(highest.scores["external"], reference.scores["external"]) else reference
    scores = leader.scores["external"]
    return Best(candidate=leader.candidate, score=round(scores.score, DIGITS), se=round(scores.se, DIGITS))


def climbs(score: Scores, best: Scores) -> bool:
    """Whether a score beats the best by at least the standard error of their difference."""
    return round(score.score - best.score, DIGITS) >= round(step(score, best), DIGITS)


def step(score: Scores, best: Scores) -> float:
    """Gain in accuracy that a new best needs."""
    return math.hypot(score.se, best.se)
