"""The work order of a training: the payload of the `train` queue, built by the step and read by the worker."""

from __future__ import annotations

from schemas.base import Frozen
from schemas.campaign import Model, Substrate
from schemas.events import RecipeProposed

QUEUE = "train"


class TrainOrder(Frozen):
    """Everything that one candidate's training depends on."""

    proposed: RecipeProposed
    """The candidate with its recipe and seed."""
    substrate: Substrate
    """Base model and code, by hash."""
    model: Model
    """Lengths and profile of the campaign."""
    snapshot: str
    """Hash of the round's data."""
    snapshot_uri: str
    """Parquet file of the round's data."""
