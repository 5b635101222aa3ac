"""A campaign as a table on a terminal: the round's candidates, their progress, and the time left."""

from __future__ import annotations

from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from audit.narrate import accuracy
from judgement.history import History
from judgement.trial import Trial
from schemas.scores import BASE
from services.console.view.progress import Progress, data_wait, loss, seconds_left, state


def campaign_table(history: History, progress: Progress, now: datetime) -> RenderableType:
    """The base and the candidates of the round, below the headline."""
    table = Table(title=headline(history, progress, now), title_justify="left", expand=False)
    for column in ("candidate", "change", "state", "loss", "dev %", "target %"):
        table.add_column(
            column, justify="right" if "%" in column or column == "loss" else "left", no_wrap=column != "change"
        )
    for trial in [history.base, *history.of_round(history.round)]:
        table.add_row(*_cells(history, trial, progress))
    wait = data_wait(history, progress)
    lines = [Text(wait.text, style="red" if wait.failed else "")] if wait else []
    for scope, drift in sorted(history.standing_drifts.items()):
        lines.append(Text(f"drift in {scope}: dev is {drift.assessment.direction} (round {drift.round})", style="red"))
    halted = "nothing more is decided: stop the campaign"
    lines.extend(Text(f"{error}; {halted}", style="red") for error in history.unreadable)
    return Group(table, *lines)


def headline(history: History, progress: Progress, now: datetime) -> str:
    """Campaign, round and the time left."""
    rounds = history.campaign.constitution.rounds
    if history.finished and history.finished.reason == "no data":
        return f"{history.id}  ended: no data for round {max(history.data_failures)}"
    if history.finished:
        return f"{history.id}  finished: winner {history.finished.winner}"
    left = seconds_left(history, progress, now)
    time = f"about {minutes(left)} left" if left is not None else "time left: not known yet"
    mark = "  STOPPED" if history.stopped else "  UNREADABLE EVENT" if history.unreadable else ""
    mark = "  PAUSED" if history.paused and not mark else mark
    return f"{history.id}  round {min(history.round, rounds)} of {rounds}  {time}{mark}"


def minutes(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _cells(history: History, trial: Trial, progress: Progress) -> tuple[str, ...]:
    if trial.candidate == BASE:
        change, reached = "", "scored" if trial.scores else "scoring"
    else:
        change = ", ".join(c.name for c in trial.changes) or "none (anchor)"
        reached = state(history, trial, progress)
    value = loss(history, trial, progress)
    dev, target = (accuracy(s) if (s := trial.scores.get(kind)) else "" for kind in ("dev", "external"))
    return (trial.candidate, change, reached, f"{value:.3f}" if value is not None else "", dev, target)
