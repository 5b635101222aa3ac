"""A campaign as it runs: a live table on a terminal, one line per event in a file."""

from __future__ import annotations

from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from audit.narrate import narrate
from judgement.history import History
from schemas.envelope import Envelope
from services.console.view.progress import Progress, data_wait
from services.console.view.table import campaign_table

MILESTONES = frozenset(
    {"CampaignStarted", "SubmissionsChosen", "DriftAssessed", "DriftDetected", "DriftCleared", "PolicyUpdated"}
    | {
        "TrainingFailed",
        "EvaluationFailed",
        "DataFailed",
        "GuardsUnmeasured",
        "DecisionRefused",
        "CampaignFinished",
        "CampaignStopped",
    }
)
"""Events that a terminal keeps above the table; the table shows the rest."""


class Screen:
    """Shows a campaign on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._disconnected = False
        self._data_failure = ""
        """The last printed failure of the open round's data."""
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def print(self, text: str) -> None:
        """Print a line that stays."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def event(self, envelope: Envelope) -> None:
        """Print an event; on a terminal only milestones."""
        if self._live is None or envelope.type in MILESTONES:
            self.print(f"{envelope.time.astimezone():%H:%M:%S}  {narrate(envelope)}")

    def disconnected(self, error: Exception) -> None:
        """Print once that the database does not answer, or why it refuses."""
        if not self._disconnected:
            self.print(f"the database does not answer ({error or type(error).__name__}); retrying")
        self._disconnected = True

    def show(self, history: History, progress: Progress) -> None:
        """Show the current state."""
        self._disconnected = False
        if self._live:
            self._live.update(campaign_table(history, progress, datetime.now(UTC)), refresh=True)
        elif (wait := data_wait(history, progress)) and wait.failed and wait.text != self._data_failure:
            self._data_failure = wait.text
            self.print(wait.text)
