"""When the trainer queues the training of a candidate."""

from __future__ import annotations

from datetime import datetime, timedelta

from eventstore.effect import Effect, Work
from judgement.history import History
from judgement.trial import Trial
from schemas.envelope import candidate_stream
from services.trainer.orders import QUEUE, TrainOrder


def queue_training(history: History, now: datetime) -> Effect:
    """Queue the training of every candidate without a checkpoint."""
    return Effect(work=tuple(_work(history, trial) for trial in history.of_round(history.round) if _waits(trial)))


def works_of(history: History, key: str) -> list[Work]:
    """The training of this key that the step above queues in this state."""
    trial = history.trials.get(key.removeprefix(candidate_stream(history.id, "")))
    if trial is None or trial.proposed is None or trial.round != history.round or not _waits(trial):
        return []
    return [_work(history, trial)]


def _waits(trial: Trial) -> bool:
    return not trial.ended and trial.checkpoint is None


def _work(history: History, trial: Trial) -> Work:
    assert trial.proposed is not None
    assert trial.proposed_at is not None
    law, data = history.campaign.constitution, history.snapshots[trial.round]
    sources = law.data.sources if law.data else ()
    order = TrainOrder(
        proposed=trial.proposed,
        substrate=history.substrate,
        model=history.campaign.model,
        snapshot=data.snapshot,
        snapshot_uri=data.uri,
        suites=law.suites,
        judges={source.name: source.suite for source in sources if source.suite},
    )
    return Work(
        queue=QUEUE,
        key=candidate_stream(history.id, trial.candidate),
        campaign=history.id,
        payload=order.model_dump(mode="json"),
        attempts=law.budget.attempts,
        deadline=trial.proposed_at + timedelta(seconds=law.budget.candidate_seconds),
        cause=trial.proposed_id,
    )
