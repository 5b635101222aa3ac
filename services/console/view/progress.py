"""How far a campaign, its round and each candidate have come; from the history and the live progress of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from judgement.guards import broken
from judgement.history import History
from judgement.trial import Trial
from schemas.envelope import candidate_stream, round_stream

Progress = Mapping[str, Mapping[str, Any]]
"""Live progress by subject: `step`, `steps` and `loss` of training, `error` and `message` of a failed attempt."""

STAGES = ("waiting", "training", "scoring", "scored", "confirmed", "measured on target", "final", "expired", "failed")
"""How far a candidate can come."""
MEASURED = {"final": "final", "external": "measured on target", "confirm": "confirmed", "dev": "scored"}
"""Kind of score, the last one first -> stage."""


def stage(trial: Trial) -> str:
    """One of `STAGES`."""
    if trial.failed:
        return "failed"
    if trial.expired:
        return "expired"
    for kind, reached in MEASURED.items():
        if kind in trial.scores:
            return reached
    return "scoring" if trial.checkpoint else "training" if trial.attempts else "waiting"


def state(history: History, trial: Trial, progress: Progress | None = None) -> str:
    """The stage, its attempt and step or failure, and the guards that the candidate breaks."""
    reached = f"failed: {trial.failed}" if trial.failed else stage(trial)
    if reached == "training" and trial.attempts > 1:
        reached = f"training, try {trial.attempts}"
    if names := ", ".join(breach.guard.name for breach in broken(history, trial)):
        reached = f"{reached}, breaks {names}"
    live = _live(history, trial, progress or {})
    return (
        f"{reached} {live['step']}/{live['steps']}" if reached.startswith("training") and live.get("steps") else reached
    )


def loss(history: History, trial: Trial, progress: Progress) -> float | None:
    """The recorded loss, or that of the running training."""
    return trial.checkpoint.loss if trial.checkpoint else _live(history, trial, progress).get("loss")


def seconds_left(history: History, progress: Progress, now: datetime) -> float | None:
    """Seconds until the campaign ends at the mean speed since the first proposal; None before half a candidate."""
    proposed = [t.proposed_at for t in history.trials.values() if t.proposed_at]
    done = sum(_share(history, t, progress) for t in history.trials.values() if t.recipe)
    if not proposed or done < 0.5:
        return None
    constitution = history.campaign.constitution
    total = constitution.rounds * constitution.candidates
    return (now - min(proposed)).total_seconds() * max(total - done, 0) / done


def _share(history: History, trial: Trial, progress: Progress) -> float:
    """How much of a candidate's work is done; training counts as 0.9 of it."""
    if trial.ended:
        return 1.0
    live = _live(history, trial, progress)
    trained = 1.0 if trial.checkpoint else live["step"] / live["steps"] if live.get("steps") else 0.0
    return 0.9 * trained


def _live(history: History, trial: Trial, progress: Progress) -> Mapping[str, Any]:
    return progress.get(candidate_stream(history.id, trial.candidate), {})


@dataclass(frozen=True)
class DataWait:
    """What the open round waits for before its first candidate."""

    text: str
    """In one line."""
    failed: bool = False
    """Whether the last attempt failed; it is retried until the round has data."""


def data_wait(history: History, progress: Progress) -> DataWait | None:
    """The data collection of the open round; None if it is done, or nothing is known of it."""
    if history.dataless:
        failure = history.data_failures[max(history.data_failures)]
        reason = f"{failure.error}: {failure.message}; given up after try {failure.attempt}"
        return DataWait(f"round {failure.round} has no data: {reason}", failed=True)
    if history.closed or history.round in history.snapshots:
        return None
    live = progress.get(round_stream(history.id, history.round), {})
    if "error" in live:
        text = f"round {history.round} has no data yet: {live['error']}: {live['message']}; retrying"
        return DataWait(text, failed=True)
    if "source" in live:
        return DataWait(f"round {history.round} collects: {live['rows']} rows so far, now from {live['source']}")
    return None
