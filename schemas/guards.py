"""Guards: abilities that a candidate must not lose, whatever it gains on the target."""

from __future__ import annotations

from pydantic import Field

from schemas.base import Frozen, Name, Share
from schemas.scores import Cost, Receipt, Scores, Stamp
from schemas.tasks import TaskList


class Guard(TaskList):
    """A suite of tasks on which a candidate may not fall below the base by more than a bound."""

    name: Name
    """What it guards, as `refusals` or `general`."""
    bound: Share
    """Largest allowed fall against the base, of the suite's mean: 0.05 is five points."""


class GuardsReported(Frozen):
    """The oracle measured a candidate on all guards."""

    candidate: Name
    """Candidate id, or `base`."""
    suites: dict[Name, Scores]
    """By guard: accuracy per task and in all."""
    receipt: Receipt
    """Every item's output."""
    stamp: Stamp
    """How it was taken."""
    cost: Cost
    """What it took."""


class GuardsUnmeasured(Frozen):
    """A try to measure a candidate on the guards ended without a score."""

    candidate: Name
    """Candidate id, or `base`."""
    attempt: int = Field(ge=1)
    """The try."""
    error: str
    """Class of the failure."""
    message: str
    """What happened and what to do about it."""
    terminal: bool
    """Whether no further try follows."""
    cost: Cost
    """What it took."""
