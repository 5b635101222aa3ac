"""When the policy service decides: to begin, to close a round, to revise the policy, to finish or give up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from eventstore.effect import NOTHING, Append, Effect
from judgement.decisions import choose_final, choose_submissions, finish, first_policy, update
from judgement.history import History
from schemas.base import Frozen
from schemas.envelope import campaign_stream, round_stream
from schemas.scores import Kind
from services.runtime.constitution_check import check_decisions


def begin(history: History, now: datetime) -> Effect:
    """The first policy opens round 1."""
    return NOTHING if history.policies else _append(history, campaign_stream(history.id), first_policy(history))


def close_round(history: History, now: datetime) -> Effect:
    """Choose submissions once every candidate and the base have ended, or the round's deadline has passed."""
    round_, trials = history.round, history.of_round(history.round)
    if not trials or round_ in history.submissions:
        return NOTHING
    if (closed_by := _closed_by(history, now)) is None:
        return NOTHING
    return _append(history, round_stream(history.id, round_), choose_submissions(history, round_, closed_by))


def revise(history: History, now: datetime) -> Effect:
    """After the assessment: the next policy, or after the last round the choice of the winner."""
    constitution = history.campaign.constitution
    if history.round not in history.assessments or constitution.rounds + 1 in history.submissions:
        return NOTHING
    decision = update(history) if history.round < constitution.rounds else choose_final(history)
    return _append(history, campaign_stream(history.id), decision)


def conclude(history: History, now: datetime) -> Effect:
    """The campaign is finished when the base and the winner have their final scores, or never will."""
    chosen = history.submissions.get(history.campaign.constitution.rounds + 1)
    if chosen is None or not all(history.trials[s.candidate].has_outcome("final") for s in chosen.final):
        return NOTHING
    return _append(history, campaign_stream(history.id), finish(history))


def abandon(history: History, now: datetime) -> Effect:
    """The campaign is finished, without a winner, when the first round's data was given up."""
    return _append(history, campaign_stream(history.id), finish(history)) if history.dataless else NOTHING


def _closed_by(history: History, now: datetime) -> Literal["complete", "deadline"] | None:
    trials, budget = history.of_round(history.round), history.campaign.constitution.budget
    if all(trial.ended for trial in trials) and _base_measured(history, ("dev", "confirm")):
        if not history.reserved("external") or _base_measured(history, ("external",)):
            return "complete"
        if now >= history.started_at + timedelta(seconds=budget.board_seconds):
            return "deadline"  # the target's: its score of the base will come late
    first = min(trial.proposed_at for trial in trials if trial.proposed_at)
    return "deadline" if now >= first + timedelta(seconds=budget.round_seconds) else None


def _base_measured(history: History, kinds: tuple[Kind, ...]) -> bool:
    """Whether the base is measured, so that no choice depends on which of two jobs ended first."""
    guarded = history.base.guarded or not history.campaign.constitution.guards
    return guarded and all(history.base.has_outcome(kind) for kind in kinds)


def _append(history: History, stream: str, decision: Frozen) -> Effect:
    return check_decisions(history, [Append(history.id, stream, decision, expected=history.streams.get(stream, 0))])
