"""The order of the queue `data`: the making of one round's snapshot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field, model_serializer

from schemas.base import Frozen, Name
from schemas.campaign import Campaign, Substrate
from schemas.evidence import Basis, Stored
from schemas.policy import Policy

QUEUE = "data"


class DataOrder(Frozen):
    """A snapshot job as `services.data.steps.refresh` queues it. Its JSON has only the fields that were set."""

    round: int = Field(ge=1)
    """The round."""
    policy: Policy
    """The policy that opened the round."""
    campaign: Campaign
    """The campaign."""
    basis: Basis
    """The state of the log on which the data was planned."""
    last: Stored | None = None
    """Manifest of the last harvest; this and the following fields are set only for a campaign that collects data."""
    substrate: Substrate | None = None
    """The campaign's base."""
    standing: Name | None = None
    """Candidate whose checkpoint stands."""
    adapter: Stored | None = None
    """Its adapter; none for the base."""
    fingerprints: Stored | None = None
    """Fingerprints of the sealed sets, if they are published."""

    @model_serializer(mode="wrap")
    def _set_fields(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if name in self.model_fields_set}
