"""Whom to ask the target about: one place for the best candidate, one for the audit of dev itself.

The best is the highest posterior target, never the highest raw score. The audit goes where the answer would tell most:
to the round's highest dev while dev is still believed; once it is not, to the standing recipe if its own target is not
known; else to the candidate on which the drift hypotheses disagree most or that is least like those already asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from judgement.basis import DIGITS
from judgement.explain import decisions as explain
from judgement.guards import broken
from judgement.history import History
from judgement.search.pool import Model
from judgement.search.unseen import unseen_sds
from judgement.trial import Trial
from schemas.evidence import Submission
from schemas.recipe import Recipe


@dataclass(frozen=True)
class Question:
    """What the choice is made from."""

    history: History
    model: Model
    round: int
    open: tuple[Trial, ...]
    """Candidates that may still be asked about, by round and slot."""

    def mean(self, trial: Trial) -> float:
        """Expected target, rounded."""
        return round(self.model.predict_trial(trial.candidate).mean, DIGITS)


def queries_left(history: History) -> int:
    """External queries that this round may still make: spread evenly over the rounds left."""
    constitution = history.campaign.constitution
    left = constitution.budget.external_queries - history.reserved("external")
    rounds = max(1, constitution.rounds - history.round + 1)
    return max(0, min(constitution.budget.external_per_round, -(-left // rounds)))


def choose(history: History, model: Model, round_: int) -> tuple[tuple[Submission, ...], tuple[Submission, ...]]:
    """Submissions to confirm and to query externally; the queried are also confirmed, then the next best are."""
    question = Question(history, model, round_, tuple(unmeasured(history)))
    external = external_queries(question, queries_left(history))
    room = history.campaign.constitution.budget.confirm_per_round
    chosen = [s.candidate for s in external]
    rest = [t for t in question.open if t.candidate not in chosen and t.round == round_ and t.changes]
    ranked = sorted(rest, key=question.mean, reverse=True)
    more = [Submission(candidate=t.candidate, reason=_best(question, t)) for t in ranked]
    confirm = [s for s in (*external, *more) if not history.trials[s.candidate].settled("confirm")]
    return tuple(confirm[:room]), external


def unmeasured(history: History) -> list[Trial]:
    """Trained and scored candidates that the target was never asked about; one of several equal recipes is enough.

    Who is known to break a guard cannot be promoted, so no query is spent on it.
    """
    asked = {r.candidate for r in history.reservations if r.kind == "external"}
    known = [history.trials[c].recipe for c in asked]
    trials = [t for t in history.measured("dev") if t.recipe and not t.failed]
    trials = [t for t in trials if not broken(history, t)]
    return [t for t in trials if t.recipe not in known and not t.settled("external")]


def external_queries(question: Question, room: int) -> tuple[Submission, ...]:
    """The best, then audits, as many as there is room for."""
    chosen: list[Submission] = []
    left = list(question.open)
    while left and len(chosen) < room:
        pick = _audit(question, left, [s.candidate for s in chosen]) if chosen else _first(question, left)
        chosen.append(pick)
        picked = question.history.trials[pick.candidate]
        left = [t for t in left if t.recipe != picked.recipe]
    return tuple(chosen)


def _first(question: Question, left: Sequence[Trial]) -> Submission:
    best = max(left, key=question.mean)
    return Submission(candidate=best.candidate, reason=_best(question, best))


def _best(question: Question, trial: Trial) -> str:
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
    """The standing recipe's latest run, where its target was never asked.

    Once dev is not believed nothing else says what the standing recipe is worth, and without it none can be promoted.
    """
    standing = history.policies[history.round].standing
    return next((t for t in reversed(left) if t.recipe == standing), None)


def highest_dev(history: History, round_: int) -> Trial | None:
    """The candidate with the highest dev of its round; the first of equals."""
    return max((t for t in history.of_round(round_) if "dev" in t.scores), key=_dev, default=None)


def _dev(trial: Trial) -> float:
    return round(trial.scores["dev"].score, DIGITS)


def _most_uncertain(question: Question, left: Sequence[Trial], chosen: Sequence[str]) -> Submission:
    """The candidate whose answer teaches most, less half of what it is expected to lose."""
    asked = [recipe for candidate in chosen if (recipe := question.history.trials[candidate].recipe)]
    best = max(question.mean(t) for t in left)
    sd = dict(zip((t.candidate for t in left), _uncertainties(question, left, asked), strict=True))
    pick = max(left, key=lambda t: round(sd[t.candidate] - (best - question.mean(t)) / 2, DIGITS))
    return Submission(
        candidate=pick.candidate, reason=explain.audit(pick, sd[pick.candidate], best - question.mean(pick))
    )


def _uncertainties(question: Question, left: Sequence[Trial], asked: Sequence[Recipe]) -> list[float]:
    """Where the drift hypotheses disagree, and where the recipe is unlike those whose target is known or asked for."""
    unseen = unseen_sds(question.history, [t.recipe for t in left if t.recipe], asked)
    return [math.hypot(question.model.disagreement(t.candidate), sd) for t, sd in zip(left, unseen, strict=True)]
