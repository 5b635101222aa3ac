"""Before a decision enters the log it is held against the constitution; a breach is recorded as refused instead."""

from __future__ import annotations

from collections.abc import Sequence

from eventstore.effect import NOTHING, Append, Effect
from judgement.constitution import check, check_anchor
from judgement.history import History
from schemas.envelope import round_stream


def check_decisions(history: History, decisions: Sequence[Append]) -> Effect:
    """All decisions, or, if any breaks the constitution, only the refusals that are not recorded yet."""
    events = [item.event for item in decisions]
    checked = (*(check(history, event) for event in events), check_anchor(history, events))
    refusals = [refused for refused in checked if refused]
    if not refusals:
        return Effect(tuple(decisions))
    recorded = history.refused
    new = [refusal for refusal in refusals if (refusal.decision, refusal.article) not in recorded]
    stream = round_stream(history.id, max(history.round, 1))
    return Effect(tuple(Append(history.id, stream, refusal) for refusal in new)) if new else NOTHING
