"""What all peers share: whom they submit, and how the final model is picked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.search.space import Codes, code_of, recipe_of
from judgement.history import History
from judgement.search.policy import Chosen, Proposal
from judgement.search.submit import queries_left
from judgement.trial import Trial
from schemas.evidence import Submission
from schemas.policy import Estimate

Floats = np.ndarray
UNKNOWN = Estimate(mean=0.0, sd=0.0)
"""Peers predict nothing that the harness reads."""

Pick = Callable[[History], str]
"""How the final candidate is chosen."""


def trials(history: History) -> list[Trial]:
    """The candidates with a dev score, by round and slot."""
    return [t for t in history.measured("dev") if t.recipe]


def codes(trials: Sequence[Trial]) -> Codes:
    """Their recipes as rows."""
    return np.array([code_of(t.recipe) for t in trials if t.recipe])


def dev_counts(trial: Trial) -> tuple[np.ndarray, np.ndarray]:
    """Items right and items per domain, the confirmation's included."""
    sets = [trial.scores[kind] for kind in ("dev", "confirm") if kind in trial.scores]
    n = np.array([[d.n for d in scores.domains.values()] for scores in sets])
    right = np.array([[d.score * d.n for d in scores.domains.values()] for scores in sets])
    return right.sum(axis=0), n.sum(axis=0)


def dev(trial: Trial) -> float:
    """Mean dev accuracy over the domains."""
    right, n = dev_counts(trial)
    return float((right / n).mean())


def board(trial: Trial) -> float:
    """Score on the target; lowest where it was never asked."""
    return trial.scores["external"].score if "external" in trial.scores else -1.0


def dev_best(history: History) -> str:
    """The candidate with the best dev: what Goodhart's law is about."""
    return max(trials(history), key=dev).candidate


def board_best(history: History) -> str:
    """The candidate with the best score on the target among those asked."""
    return max(trials(history), key=board).candidate


def best_unasked(history: History, round_: int) -> Chosen:
    """The highest dev scores of all rounds that were not asked yet."""
    open_ = [t for t in trials(history) if "external" not in t.scores]
    ranked = sorted(open_, key=dev, reverse=True)
    chosen = tuple(Submission(candidate=t.candidate, reason="") for t in ranked[: queries_left(history)])
    confirm = tuple(s for s in chosen if "confirm" not in history.trials[s.candidate].scores)
    return confirm, chosen


def proposals(rows: Codes) -> list[Proposal]:
    """Rows as proposals."""
    return [(recipe_of(row), UNKNOWN) for row in rows]


@dataclass(frozen=True)
class Ranked:
    """Submissions by dev, and a final pick: the part of a peer that is not its search."""

    pick: Pick = board_best
    """How the final candidate is chosen."""

    def choose_submissions(self, history: History, round_: int) -> Chosen:
        """The best dev of all that was not asked."""
        return best_unasked(history, round_)

    def final(self, history: History) -> tuple[str, Estimate]:
        """By the rule of the pick."""
        return self.pick(history), UNKNOWN
