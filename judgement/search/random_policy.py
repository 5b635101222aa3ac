"""The baseline `random`: recipes drawn evenly from the whole space, and the highest target score at the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from judgement.history import History
from judgement.search.policy import Chosen, Proposal
from judgement.search.pool import Model
from judgement.search.space import Floats
from judgement.search.submit import highest_dev, queries_left, unmeasured
from schemas.campaign import Axis
from schemas.evidence import Submission
from schemas.policy import Estimate
from schemas.recipe import Recipe

UNKNOWN = Estimate(mean=0.5, sd=0.5)


class Indifferent:
    """A model that knows nothing: it promotes no recipe and closes no axis."""

    def predict(self, recipe: Recipe) -> Estimate:
        """Anything."""
        return UNKNOWN

    def predict_trial(self, candidate: str) -> Estimate:
        """Anything."""
        return UNKNOWN

    def samples(self, recipes: Sequence[Recipe], rng: np.random.Generator, draws: int) -> Floats:
        """Anything, (draws, recipes)."""
        return rng.random((draws, len(recipes)))

    def gain(self, candidate: str, over: str) -> tuple[Estimate, float]:
        """As likely better as worse."""
        return Estimate(mean=0.0, sd=1.0), 0.5

    def disagreement(self, candidate: str) -> float:
        """None."""
        return 0.0


def _drawn(standing: Recipe, space: Sequence[Axis], most: int, rng: np.random.Generator) -> Recipe:
    """The standing recipe with so many knobs drawn anew; one of them may come out as it was."""
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
        return [(_drawn(standing, law.space, law.max_changes, rng), UNKNOWN) for _ in range(slots)]

    def choose_submissions(self, history: History, round_: int) -> Chosen:
        """The round's highest dev, then by chance of the names: the last proposed first."""
        left = [t for t in reversed(unmeasured(history)) if t.changes]
        top = highest_dev(history, round_)
        ranked = sorted(left, key=lambda t: t is not top)
        said = tuple(Submission(candidate=t.candidate, reason="Drawn.") for t in ranked[: queries_left(history)])
        return said[: history.campaign.constitution.budget.confirm_per_round], said

    def final(self, history: History) -> tuple[str, Estimate]:
        """The highest score of the target."""
        asked = history.measured("external") or [history.base]
        best = max(asked, key=lambda t: t.scores["external"].score if "external" in t.scores else 0.0)
        scores = best.scores.get("external")
        return best.candidate, Estimate(mean=scores.score, sd=scores.se) if scores else UNKNOWN

    def model(self, history: History) -> Model:
        """None to speak of."""
        return Indifferent()

    def bound(self, history: History) -> Model:
        """The same."""
        return Indifferent()
