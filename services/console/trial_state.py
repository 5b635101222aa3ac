"""How far a candidate has come, in a word."""

from __future__ import annotations

from judgement.guards import broken
from judgement.history import History
from judgement.trial import Trial

STAGES = ("waiting", "training", "scoring", "scored", "confirmed", "measured on target", "final", "expired", "failed")
"""How far a candidate can come."""


def stage(trial: Trial) -> str:
    """One of `STAGES`."""
    if trial.failed:
        return "failed"
    if trial.expired:
        return "expired"
    return _measured(trial) or _trained(trial)


def state(trial: Trial) -> str:
    """The last thing that is known of a candidate."""
    if trial.failed:
        return f"failed: {trial.failed}"
    known = stage(trial)
    return f"training, try {trial.attempts}" if known == "training" and trial.attempts > 1 else known


def state_with_guards(history: History, trial: Trial) -> str:
    """The same, and the guards that the candidate breaks."""
    names = ", ".join(found.guard.name for found in broken(history, trial))
    return f"{state(trial)}, breaks {names}" if names else state(trial)


def _measured(trial: Trial) -> str | None:
    words = {"final": "final", "external": "measured on target", "confirm": "confirmed", "dev": "scored"}
    return next((word for kind, word in words.items() if kind in trial.scores), None)


def _trained(trial: Trial) -> str:
    if trial.checkpoint:
        return "scoring"
    if trial.attempts:
        return "training"
    return "waiting"
