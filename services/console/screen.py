"""What a person sees of a campaign: a live table on a terminal, one line per event where the output is a file."""

from __future__ import annotations

from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from audit.narrate import narrate
from judgement.history import History
from schemas.envelope import Envelope
from services.console.data_wait import gathering
from services.console.table import Progress, view

MILESTONES = frozenset(
    {"CampaignStarted", "SubmissionsChosen", "DriftAssessed", "DriftDetected", "DriftCleared", "PolicyUpdated"}
    | {
        "TrainingFailed",
        "EvaluationFailed",
        "GuardsUnmeasured",
        "DecisionRefused",
        "CampaignFinished",
        "CampaignStopped",
    }
)
"""Events that a terminal keeps above the table; the table shows the rest."""


class Screen:
    """The place where a campaign is shown."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.blind = False
        """Whether the last look found no database."""
        self.failure = ""
        """What was last said of a round that has no data."""
        self.live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def say(self, words: str) -> None:
        """A line that stays."""
        self.console.print(words, markup=False, highlight=False, soft_wrap=True)

    def event(self, envelope: Envelope) -> None:
        """An event, as far as it is of interest here."""
        if self.live is None or envelope.type in MILESTONES:
            self.say(f"{envelope.time.astimezone():%H:%M:%S}  {narrate(envelope)}")

    def away(self) -> None:
        """The database does not answer; said once, until something is shown again."""
        if not self.blind:
            self.say("the database does not answer; looking again until it does")
        self.blind = True

    def show(self, history: History, progress: Progress) -> None:
        """The state now."""
        self.blind = False
        if self.live:
            self.live.update(view(history, progress, datetime.now(UTC)), refresh=True)
        elif (waits := gathering(history, progress)) and waits.failed and waits.words != self.failure:
            self.failure = waits.words
            self.say(waits.words)
