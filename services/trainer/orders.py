"""The work order of a training: the payload of the `train` queue, built by the step and read by the worker."""

from __future__ import annotations

from pydantic import Field

from schemas.base import Grown, Name
from schemas.campaign import Model, Substrate
from schemas.events import RecipeProposed
from schemas.suites import AnySuite

QUEUE = "train"


class TrainOrder(Grown):
    """Everything that one candidate's training depends on."""

    LATER = ("suites", "judges")

    proposed: RecipeProposed
    """The candidate with its recipe and seed."""
    substrate: Substrate
    """Base model and code, by hash."""
    model: Model
    """Lengths of the campaign's texts and the form of its questions."""
    snapshot: str
    """Hash of the round's data."""
    snapshot_uri: str
    """Parquet file of the round's data."""
    suites: tuple[AnySuite, ...] = ()
    """The campaign's suites, whose scorers reward answers; none for a campaign of puzzles."""
    judges: dict[Name, Name] = Field(default_factory=dict)
    """Suite of each source that names one."""
