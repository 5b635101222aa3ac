"""When a round needs its candidates, and its advisor a question."""

from __future__ import annotations

from datetime import datetime, timedelta

from eventstore.effect import NOTHING, Append, Effect, Work
from judgement.advice import awaited, open_changes, weighed_advice
from judgement.basis import basis, ground
from judgement.decisions import propose
from judgement.history import History
from schemas.envelope import advice_stream, candidate_stream
from services.recipes.orders import QUEUE, AdviceOrder
from services.runtime.constitution_check import check_decisions

ATTEMPTS = 2
"""The second try is for an endpoint that was restarted; both end at the rule's deadline."""


def consult(history: History, now: datetime | None = None) -> Effect:
    """Queue the question to the advisor, where the campaign has one, as soon as the round has its data."""
    rule = history.campaign.constitution.advisor
    if rule is None or not awaited(history) or not _unproposed(history):
        return NOTHING
    scored = history.round > 1
    order = AdviceOrder(
        round=history.round,
        advisor=rule,
        max_changes=history.campaign.constitution.max_changes,
        changes=tuple(open_changes(history)),
        evidence=ground(history, scored=scored),
        basis=basis(history, history.round, "propose", scored=scored),
    )
    deadline = history.snapshot_times[history.round] + timedelta(seconds=rule.seconds)
    key = advice_stream(history.id, history.round)
    return Effect(
        work=(Work(QUEUE, key, history.id, order.model_dump(mode="json"), attempts=ATTEMPTS, deadline=deadline),)
    )


def works_of(history: History, key: str) -> tuple[Work, ...]:
    """The question of this key that the step above queues in this state."""
    return consult(history).work if key == advice_stream(history.id, history.round) else ()


def propose_round(history: History, now: datetime) -> Effect:
    """Propose the open round's candidates, all in one transaction, once the advisor has answered or failed."""
    if awaited(history) or not _unproposed(history):
        return NOTHING
    advice = advice_stream(history.id, history.round)
    proposed = [Append(history.id, candidate_stream(history.id, p.candidate), p, expected=0) for p in propose(history)]
    return check_decisions(
        history, [*proposed, *(Append(history.id, advice, event) for event in weighed_advice(history))]
    )


def _unproposed(history: History) -> bool:
    """Whether the open round has its data and no candidates yet."""
    return history.round in history.snapshots and not history.of_round(history.round)
