"""When the recipes service owes a round its candidates."""

from __future__ import annotations

from datetime import datetime

from eventstore.effect import NOTHING, Append, Effect
from judgement.history import History
from schemas.envelope import candidate_stream
from services.recipes.core import propose
from services.runtime.decision import lawful


def propose_round(history: History, now: datetime) -> Effect:
    """Propose the open round's candidates, all in one transaction."""
    if history.round not in history.snapshots or history.of_round(history.round):
        return NOTHING
    return lawful(
        history,
        [
            Append(history.id, candidate_stream(history.id, event.candidate), event, expected=0)
            for event in propose(history)
        ],
    )
