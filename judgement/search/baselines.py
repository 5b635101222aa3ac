"""The two baselines: `dev_greedy`, which takes dev for the target, and `random`, which draws from the whole space.

`dev_greedy` is what most automatic searches do, and what drift defeats. It searches as the project's own policy does
(the same first round, the same surfaces, the same climbs), so a comparison measures the value of judging dev alone.
`random` draws recipes evenly and ends with the highest target score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from judgement.basis import DIGITS
from judgement.history import History
from judgement.profile import Point, Profile, profile
from judgement.search.policy import Chosen, Model, Proposal, gains
from judgement.search.propose import first_round, later_round
from judgement.search.space import Floats
from judgement.search.submit import Question, highest_dev, queries_left, unmeasured
from judgement.search.surface import Surface, terms
from judgement.search.surface_target import Target, dev_surfaces
from schemas.campaign import Axis
from schemas.evidence import Submission
from schemas.policy import Estimate
from schemas.recipe import Recipe

JITTER = 1e-9
"""Added to the variances of a joint draw, so that the covariance of equal points has a Cholesky root too."""


@dataclass(frozen=True)
class DevModel:
    """Smoothed dev in the place of the target."""

    evidence: Profile
    """Dev of the trials; target scores are not read."""

    @classmethod
    def fit(cls, history: History) -> DevModel:
        """Learn from all dev scores so far."""
        return cls(profile(history))

    def predict(self, recipe: Recipe) -> Estimate:
        """Dev of a recipe, trained or not."""
        return self._estimate(recipe)

    def predict_trial(self, candidate: str) -> Estimate:
        """Dev of a trial, smoothed."""
        return self._estimate(candidate)

    def samples(self, recipes: Sequence[Recipe], rng: np.random.Generator, draws: int) -> Floats:
        """Joint draws of dev, (draws, recipes)."""
        mean, covariance = self._totals(recipes)
        root = np.linalg.cholesky(covariance + JITTER * np.eye(len(mean)))
        return np.asarray(mean + rng.standard_normal((draws, len(mean))) @ root.T)

    def gain(self, candidate: Point, over: Point) -> tuple[Estimate, float]:
        """Dev of one less dev of the other, and the probability that it is positive."""
        mean, covariance = self._totals([candidate, over])
        contrast = np.array([1.0, -1.0])
        sd = float(np.sqrt(max(contrast @ covariance @ contrast, 1e-18)))
        gain = float(contrast @ mean)
        return Estimate(mean=round(gain, DIGITS), sd=round(sd, DIGITS)), round(float(ndtr(gain / sd)), DIGITS)

    def disagreement(self, candidate: str) -> float:
        """Zero: there is one hypothesis only."""
        return 0.0

    def _estimate(self, point: Point) -> Estimate:
        mean, covariance = self._totals([point])
        return Estimate(mean=round(float(mean[0]), DIGITS), sd=round(float(np.sqrt(covariance[0, 0])), DIGITS))

    def _totals(self, points: Sequence[Point]) -> tuple[Floats, Floats]:
        """Mean (P,) and covariance (P, P) of dev, the mean over the domains."""
        over_base = self.evidence.gains(points)
        base = self.evidence.base_dev[0].mean()
        return base + over_base.mean.mean(axis=0), over_base.covariance.sum(axis=0) / len(over_base.mean) ** 2


class DevGreedy:
    """The policy named `dev_greedy` in a constitution."""

    def propose(self, history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
        """As the loop's own policy, from draws of dev in the place of the target."""
        if history.round == 1:
            return first_round(history, slots, rng)
        model = DevModel.fit(history)
        recipes = later_round(history, _dev_targets(model.evidence), slots, rng)
        return list(zip(recipes, gains(model, history.policies[history.round].standing, recipes, rng), strict=True))

    def choose_submissions(self, history: History, round_: int) -> Chosen:
        """The highest smoothed dev of those whose target was never queried."""
        question = Question(history, self.model(history), round_, tuple(unmeasured(history)))
        ranked = sorted(question.open, key=question.mean, reverse=True)
        chosen = [Submission(candidate=t.candidate, reason=f"Highest dev: {question.mean(t):.3f}.") for t in ranked]
        confirm = [s for s in chosen if not history.trials[s.candidate].has_outcome("confirm")]
        return tuple(confirm[: history.campaign.constitution.budget.confirm_per_round]), tuple(
            chosen[: queries_left(history)]
        )

    def final(self, history: History) -> tuple[str, Estimate]:
        """The highest smoothed dev of all."""
        model = self.model(history)
        usable = (t for t in history.measured("dev") if t.recipe and t.checkpoint and not t.failed)
        estimates = {t.candidate: model.predict_trial(t.candidate) for t in (history.base, *usable)}
        best = max(estimates, key=lambda name: estimates[name].mean)
        return best, estimates[best]

    def model(self, history: History) -> Model:
        """Smoothed dev."""
        return DevModel.fit(history)

    def bound(self, history: History) -> Model:
        """Smoothed dev: no drift binds a policy that does not test for it."""
        return DevModel.fit(history)


def _dev_targets(evidence: Profile) -> Callable[[np.random.Generator, float], Target]:
    """Draws of dev: a target with slope 1 and no effect beside it."""
    table, count = terms(evidence.space), len(evidence.domains)
    surfaces, ones = dev_surfaces(evidence, table), np.ones(count)
    zero = Surface(table, np.zeros((count, table.size)))
    base, even = evidence.base_dev[0], ones / count
    return lambda rng, spread: Target(surfaces.draw(rng, spread), base, ones, np.inf * ones, 0 * ones, zero, even)


UNKNOWN = Estimate(mean=0.5, sd=0.5)
"""The estimate of a policy that has no model."""


class NoModel:
    """A model that knows nothing: it promotes no recipe and closes no axis."""

    def predict(self, recipe: Recipe) -> Estimate:
        """The estimate of an unknown."""
        return UNKNOWN

    def predict_trial(self, candidate: str) -> Estimate:
        """The estimate of an unknown."""
        return UNKNOWN

    def samples(self, recipes: Sequence[Recipe], rng: np.random.Generator, draws: int) -> Floats:
        """Uniform draws, (draws, recipes)."""
        return rng.random((draws, len(recipes)))

    def gain(self, candidate: str, over: str) -> tuple[Estimate, float]:
        """Better or worse with equal probability."""
        return Estimate(mean=0.0, sd=1.0), 0.5

    def disagreement(self, candidate: str) -> float:
        """Zero."""
        return 0.0


def _redrawn(standing: Recipe, space: Sequence[Axis], most: int, rng: np.random.Generator) -> Recipe:
    """The standing recipe with up to `most` knobs redrawn; a redrawn knob may keep its value."""
    for index in rng.choice(len(space), min(most, len(space)), replace=False):
        axis = space[index]
        value = axis.values[rng.integers(len(axis.values))]
        if value != standing.get(axis.knob):
            standing = standing.replace(axis.knob, value)
    return standing


class Random:
    """The policy named `random` in a constitution; it draws from all of the space if `max_changes` allows as many."""

    def propose(self, history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
        """Even draws of up to `max_changes` knobs."""
        law, standing = history.campaign.constitution, history.policies[history.round].standing
        return [(_redrawn(standing, law.space, law.max_changes, rng), UNKNOWN) for _ in range(slots)]

    def choose_submissions(self, history: History, round_: int) -> Chosen:
        """The round's highest dev, then the last proposed first, which is a random order of recipes."""
        candidates = [t for t in reversed(unmeasured(history)) if t.changes]
        top = highest_dev(history, round_)
        ranked = sorted(candidates, key=lambda t: t is not top)
        chosen = tuple(Submission(candidate=t.candidate, reason="Drawn.") for t in ranked[: queries_left(history)])
        return chosen[: history.campaign.constitution.budget.confirm_per_round], chosen

    def final(self, history: History) -> tuple[str, Estimate]:
        """The highest score of the target."""
        queried = history.measured("external") or [history.base]
        best = max(queried, key=lambda t: t.scores["external"].score if "external" in t.scores else 0.0)
        scores = best.scores.get("external")
        return best.candidate, Estimate(mean=scores.score, sd=scores.se) if scores else UNKNOWN

    def model(self, history: History) -> Model:
        """A model that knows nothing."""
        return NoModel()

    def bound(self, history: History) -> Model:
        """The same."""
        return NoModel()
