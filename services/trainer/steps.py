"""When the trainer owes a candidate its adapter."""

from __future__ import annotations

from datetime import datetime, timedelta

from eventstore.effect import NOTHING, Effect, Work
from judgement.history import History
from judgement.trial import Trial
from schemas.envelope import candidate_stream

QUEUE = "train"


def queue_training(history: History, now: datetime) -> Effect:
    """Queue the training of every candidate that waits for it."""
    waiting = [t for t in history.of_round(history.round) if not t.ended and t.checkpoint is None]
    return Effect(work=tuple(_work(history, trial) for trial in waiting)) if waiting else NOTHING


def _work(history: History, trial: Trial) -> Work:
    assert trial.proposed is not None
    assert trial.proposed_at is not None
    budget = history.campaign.constitution.budget
    payload = {
        "proposed": trial.proposed.model_dump(mode="json"),
        "substrate": history.substrate.model_dump(mode="json"),
        "model": history.campaign.model.model_dump(mode="json"),
        "snapshot": history.snapshots[trial.round].snapshot,
        "snapshot_uri": history.snapshots[trial.round].uri,
    }
    return Work(
        queue=QUEUE,
        key=candidate_stream(history.id, trial.candidate),
        campaign=history.id,
        payload=payload,
        attempts=budget.attempts,
        deadline=trial.proposed_at + timedelta(seconds=budget.candidate_seconds),
        cause=trial.proposed_id,
    )
