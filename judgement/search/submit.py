"""Which candidates to query the target for: one query for the best candidate, the others to audit dev itself.

The best is the highest posterior target, never the highest raw score. An audit goes where an answer is most
informative: to the round's highest dev while no drift stands; under drift to the standing recipe if its target is
unknown; else to the candidate on which the drift hypotheses disagree most or that is least like those already queried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from judgement.basis import DIGITS
from judgement.explain import decisions as explain
from judgement.guards import broken
from judgement.history import History
from judgement.search.policy import Model
from judgement.search.prior import unseen_sds
from judgement.trial import Trial
from schemas.evidence import Submission
from schemas.recipe import Recipe


@dataclass(frozen=True)
class Question:
    """The evidence of the choice."""

    history: History
    model: Model
    round: int
    open: tuple[Trial, ...]
    """Candidates that may still be queried, by round and slot."""

    def mean(self, trial: Trial) -> float:
        """Expected target, rounded."""
        return round(self.model.predict_trial(trial.candidate).mean, DIGITS)


def queries_left(history: History) -> int:
    """Target queries that this round may still make: the budget left is spread evenly over the rounds left."""
    constitution = history.campaign.constitution
    left = constitution.budget.external_queries - history.reserved("external")
    rounds = max(1, constitution.rounds - history.round + 1)
    return max(0, min(constitution.budget.external_per_round, -(-left // rounds)))


def choose(history: History, model: Model, round_: int) -> tuple[tuple[Submission, ...], tuple[Submission, ...]]:
    """Submissions to confirm and to query externally; the queried are also confirmed, then the next best are."""
    question = Question(history, model, round_, tuple(unmeasured(history)))
    external = external_queries(question, queries_left(history))
    room = history.campaign.constitution.budget.confirm_per_round
    queried = [s.candidate for s in external]
    others = [t for t in question.open if t.candidate not in queried and t.round == round_ and t.changes]
    ranked = sorted(others, key=question.mean, reverse=True)
    more = [Submission(candidate=t.candidate, reason=_best_reason(question, t)) for t in ranked]
    confirm = [s for s in (*external, *more) if not history.trials[s.candidate].has_outcome("confirm")]
    return tuple(confirm[:room]), external


def unmeasured(history: History) -> list[Trial]:
    """Trained and scored candidates without a target query; of equal recipes one query is enough.

    A candidate that breaks a guard cannot be promoted, so no query is spent on it.
    """
    queried = {r.candidate for r in history.reservations if r.kind == "external"}
    queried_recipes = [history.trials[c].recipe for c in queried]
    trials = [t for t in history.measured("dev") if t.recipe and not t.failed]
    trials = [t for t in trials if not broken(history, t)]
    return [t for t in trials if t.recipe not in queried_recipes and not t.has_outcome("external")]


def external_queries(question: Question, room: int) -> tuple[Submission, ...]:
    """The best, then audits, at most `room` in all."""
    chosen: list[Submission] = []
    left = list(question.open)
    while left and len(chosen) < room:
        if chosen:
            submission = _audit(question, left, [s.candidate for s in chosen])
        else:
            best = max(left, key=question.mean)
            submission = Submission(candidate=best.candidate, reason=_best_reason(question, best))
        chosen.append(submission)
        recipe = question.history.trials[submission.candidate].recipe
        left = [t for t in left if t.recipe != recipe]
    return tuple(chosen)


def _best_reason(question: Question, trial: Trial) -> str:
    return explain.best(trial, question.model.predict_trial(trial.candidate))


def _audit(question: Question, left: Sequence[Trial], chosen: Sequence[str]) -> Submission:
    history = question.history
    if history.standing_drifts:
        if anchor := _reference(history, left):
            return Submission(candidate=anchor.candidate, reason=explain.reference(anchor))
    elif (top := highest_dev(history, question.round)) in left and top:
        return Submission(candidate=top.candidate, reason=explain.highest_dev(top))
    return _most_uncertain(question, left, chosen)


def _reference(history: History, left: Sequence[Trial]) -> Trial | None:
    """The standing recipe's latest run, if its target was never queried.

    Under drift nothing else measures the standing recipe, and without a reference no candidate can be promoted.
    """
    standing = history.policies[history.round].standing
    return next((t for t in reversed(left) if t.recipe == standing), None)


def highest_dev(history: History, round_: int) -> Trial | None:
    """The candidate with the highest dev of its round; the first of equals."""
    return max((t for t in history.of_round(round_) if "dev" in t.scores), key=_dev, default=None)


def _dev(trial: Trial) -> float:
    return round(trial.scores["dev"].score, DIGITS)


def _most_uncertain(question: Question, left: Sequence[Trial], chosen: Sequence[str]) -> Submission:
    """The candidate with the most informative answer: its uncertainty less half of its expected loss."""
    queried = [recipe for candidate in chosen if (recipe := question.history.trials[candidate].recipe)]
    best = max(question.mean(t) for t in left)
    sd = dict(zip((t.candidate for t in left), _uncertainties(question, left, queried), strict=True))
    choice = max(left, key=lambda t: round(sd[t.candidate] - (best - question.mean(t)) / 2, DIGITS))
    return Submission(
        candidate=choice.candidate, reason=explain.audit(choice, sd[choice.candidate], best - question.mean(choice))
    )


def _uncertainties(question: Question, left: Sequence[Trial], queried: Sequence[Recipe]) -> list[float]:
    """Disagreement of the drift hypotheses, and distance from the recipes whose target is known or queried."""
    unseen = unseen_sds(question.history, [t.recipe for t in left if t.recipe], queried)
    return [math.hypot(question.model.disagreement(t.candidate), sd) for t, sd in zip(left, unseen, strict=True)]
