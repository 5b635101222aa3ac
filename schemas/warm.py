"""A warm start: what an earlier campaign learned about the axes, as a prior for the search of a new one.

It holds where the earlier search looked and what it closed, and no score: what this campaign believes of a recipe it
has measured itself. It stands whole in `CampaignStarted`, so a replay needs no other log.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from schemas.base import Frozen, Sha256, Share
from schemas.recipe import Value


class WarmAxis(Frozen):
    """Where an earlier campaign expected the best value of one knob."""

    knob: str
    """Path of the knob."""
    values: tuple[Value, ...] = Field(min_length=2)
    """Its values there."""
    probabilities: tuple[Share, ...]
    """Probability of each; dead ends have 0."""

    @model_validator(mode="after")
    def _one_for_each(self) -> WarmAxis:
        if len(self.probabilities) != len(self.values):
            raise ValueError(f"{self.knob}: {len(self.probabilities)} probabilities of {len(self.values)} values")
        return self


class WarmDeadEnd(Frozen):
    """A value that an earlier campaign closed."""

    knob: str
    """Path of the knob."""
    value: Value
    """The value."""
    evidence: tuple[str, ...]
    """The candidates that closed it, each as `campaign/candidate`; the reason, with its numbers, stays in that log."""


class WarmStart(Frozen):
    """The prior, and where it comes from."""

    campaign: str = Field(min_length=1, max_length=200)
    """Id of the earlier campaign."""
    position: int = Field(ge=1)
    """Position of its last policy in its log."""
    policy: Sha256
    """Hash of that policy."""
    axes: tuple[WarmAxis, ...]
    """Its learned distributions; of knobs and values that the new space does not have, nothing is used."""
    dead_ends: tuple[WarmDeadEnd, ...] = ()
    """Its dead ends, which make a value unlikely here and forbid nothing."""
