"""The live view: the round's candidates, how far each has come, and when the campaign will be over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from audit.narrate import accuracy
from judgement.history import History
from judgement.trial import Trial
from schemas.envelope import candidate_stream
from schemas.scores import BASE
from services.console.data_wait import gathering
from services.console.trial_state import state_with_guards

Progress = Mapping[str, Mapping[str, Any]]
"""Live progress by subject: `step`, `steps` and `loss` of training, `error` and `message` of a try that failed."""


def view(history: History, progress: Progress, now: datetime) -> RenderableType:
    """The base and the candidates of the round, under a line that says where the campaign stands."""
    table = Table(title=headline(history, progress, now), title_justify="left", expand=False)
    for column in ("candidate", "change", "state", "loss", "dev %", "external %"):
        table.add_column(
            column, justify="right" if "%" in column or column == "loss" else "left", no_wrap=column != "change"
        )
    for trial in [history.base, *history.of_round(history.round)]:
        table.add_row(*_cells(history, trial, progress))
    waits = gathering(history, progress)
    data = [Text(waits.words, style="red" if waits.failed else "")] if waits else []
    return Group(table, *data, *(_drift_line(scope, found) for scope, found in sorted(history.standing_drifts.items())))


def headline(history: History, progress: Progress, now: datetime) -> str:
    """Campaign, round and the time that is left."""
    rounds = history.campaign.constitution.rounds
    if history.finished:
        return f"{history.id}  finished: winner {history.finished.winner}"
    left = eta(history, progress, now)
    words = f"about {clock(left)} left" if left is not None else "time left: not known yet"
    paused = "  PAUSED" if history.paused else "  STOPPED" if history.stopped else ""
    return f"{history.id}  round {min(history.round, rounds)} of {rounds}  {words}{paused}"


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def done(history: History, progress: Progress) -> float:
    """How many of the campaign's candidates have ended; running ones count by their steps."""
    trials = [t for t in history.trials.values() if t.recipe]
    return sum(1.0 if t.ended else 0.9 * _share(history, t, progress) for t in trials)


def eta(history: History, progress: Progress, now: datetime) -> float | None:
    """Seconds that are left, from the pace since the first proposal; None before there is a pace."""
    proposed = [t.proposed_at for t in history.trials.values() if t.proposed_at]
    have = done(history, progress)
    if not proposed or have < 0.5:
        return None
    constitution = history.campaign.constitution
    total = constitution.rounds * constitution.candidates
    return (now - min(proposed)).total_seconds() * max(total - have, 0) / have


def _share(history: History, trial: Trial, progress: Progress) -> float:
    if trial.checkpoint:
        return 1.0
    live = _live(history, trial, progress)
    return live["step"] / live["steps"] if live.get("steps") else 0.0


def _live(history: History, trial: Trial, progress: Progress) -> Mapping[str, Any]:
    return progress.get(candidate_stream(history.id, trial.candidate), {})


def _cells(history: History, trial: Trial, progress: Progress) -> tuple[str, ...]:
    base = trial.candidate == BASE
    change = "" if base else ", ".join(c.name for c in trial.changes) or "none (anchor)"
    known = ("scored" if trial.scores else "scoring") if base else state_now(history, trial, progress)
    loss = loss_now(history, trial, progress)
    told = f"{loss:.3f}" if loss is not None else ""
    return (trial.candidate, change, known, told, _score(trial, "dev"), _score(trial, "external"))


def state_now(history: History, trial: Trial, progress: Progress) -> str:
    """How far a candidate has come, to the step of its training."""
    known, live = state_with_guards(history, trial), _live(history, trial, progress)
    training = known.startswith("training") and live.get("steps")
    return f"{known} {live['step']}/{live['steps']}" if training else known


def loss_now(history: History, trial: Trial, progress: Progress) -> float | None:
    """Its loss: the last one recorded, or that of the training that runs."""
    return trial.checkpoint.loss if trial.checkpoint else _live(history, trial, progress).get("loss")


def _score(trial: Trial, kind: Any) -> str:
    return accuracy(trial.scores[kind]) if kind in trial.scores else ""


def _drift_line(scope: str, found: Any) -> Text:
    return Text(f"drift stands in {scope}: dev is {found.assessment.direction} (round {found.round})", style="red")
