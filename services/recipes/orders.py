"""The order of the queue `advise`: one round's question to the advisor."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from schemas.advisor import AdvisorRule
from schemas.base import Frozen
from schemas.evidence import Basis

QUEUE = "advise"


class AdviceOrder(Frozen):
    """A question as `services.recipes.steps.consult` queues it."""

    round: int = Field(ge=1)
    """The round to fill."""
    advisor: AdvisorRule
    """The constitution's rule: model, slots and deadline."""
    max_changes: int = Field(ge=1)
    """Changes of one proposal, at most."""
    changes: tuple[str, ...]
    """Names of the changes that may be proposed."""
    evidence: dict[str, Any]
    """What the search decides on; `basis` holds its digest."""
    basis: Basis
    """The state of the log on which the question rests."""
