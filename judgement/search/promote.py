"""Which recipe the next round starts from, and which candidate the campaign ends with.

Dev alone never promotes: a candidate counts once it was measured on fresh items or on the target (design rule 5), and
a target score outranks any prediction. What a standing drift has disowned is already missing from the model's gains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from judgement.basis import DIGITS
from judgement.cost import price
from judgement.guards import objection
from judgement.history import History
from judgement.search.pool import Model
from judgement.statistics import probability_positive
from judgement.trial import Trial
from schemas.policy import Estimate, InterventionBelief
from schemas.recipe import Recipe
from schemas.scores import BASE


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
    counted = [t for t in history.measured("dev") if t.recipe and t.recipe != standing and _counts(history, t)]
    found = [_rival(history, t, standing, *model.gain(t.candidate, over)) for t in counted]
    return sorted(found, key=lambda rival: rival.rank, reverse=True)


def _rival(history: History, trial: Trial, standing: Recipe, gain: Estimate, probability: float) -> Rival:
    """The rival, its gain less what the constitution asks for its being dearer than the standing recipe."""
    if not (trial.recipe and history.campaign.constitution.price):
        return Rival(trial, gain, probability)
    dearer, now = price(history, [trial.recipe, standing])
    net = Estimate(mean=round(gain.mean - float(dearer - now), DIGITS), sd=gain.sd)
    return Rival(trial, net, probability_positive(net))


def _counts(history: History, trial: Trial) -> bool:
    measured = "confirm" in trial.scores or "external" in trial.scores
    return measured and not trial.failed and objection(history, trial) is None


def promotion(found: Sequence[Rival], threshold: float) -> Rival | None:
    """The first rival that is better than the standing recipe with the probability that the constitution asks for."""
    return next((rival for rival in found if round(rival.probability, DIGITS) >= threshold), None)


def nearest(found: Sequence[Rival]) -> Rival | None:
    """The rival with the highest probability of being better."""
    return max(found, key=lambda rival: round(rival.probability, DIGITS), default=None)


def mode(history: History, beliefs: Sequence[InterventionBelief]) -> str:
    """The search in a word. It describes the posterior; nothing is decided by it.

    The three are the ones that arXiv 2606.20657 names for its rounds.
    """
    last = history.assessments[max(history.assessments)] if history.assessments else None
    if history.standing_drifts or (last and last.posterior > 0.5):
        return "proxy-aware"
    known = any(belief.target.mean > 2 * belief.target.sd for belief in beliefs)
    return "stack and calibrate" if known else "recipe stabilisation"


def winner(history: History, model: Model) -> tuple[str, Estimate]:
    """The trained candidate with the highest posterior mean of the target, or the base where none beats it.

    Whom the guards object to is not among them.
    """
    kept = (t for t in history.measured("dev") if t.recipe and not t.failed and objection(history, t) is None)
    trials = [history.base, *kept]
    estimates = {t.candidate: model.predict_trial(t.candidate) for t in trials if t.candidate == BASE or t.checkpoint}
    best = max(estimates, key=lambda candidate: round(estimates[candidate].mean, DIGITS))
    return best, estimates[best]
