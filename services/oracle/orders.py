"""Orders: what a step queues and a worker reads, one frozen model per work queue of the oracle.

The payload of an order is the JSON that earlier releases wrote, byte for byte: a replay compares the rows.
"""

from __future__ import annotations

from typing import Any

from eventstore.effect import Work
from eventstore.store import Job
from schemas.base import Frozen, Name, Sha256
from schemas.campaign import Campaign, Substrate
from schemas.events import CheckpointTrained
from schemas.evidence import Basis
from schemas.scores import Kind, Stamp

SCORE = "score"
"""Queue of measurements that the oracle makes itself."""
BOARD = "board"
"""Queue of board queries: they wait for an answer without holding back a measurement."""
FINGERPRINTS = "fingerprints"
"""Queue of fingerprints to publish."""


class BaseReference(Frozen):
    """How the base's dev was measured."""

    stamp: Stamp
    """The stamp of its score."""
    known: tuple[Sha256, ...] = ()
    """Digests of the other stamps under which it has been measured."""


class Measurement(Frozen):
    """One model to be measured."""

    candidate: Name
    """Candidate id, or `base`."""
    kinds: tuple[Kind, ...]
    """The sets to measure on."""
    round: int
    """Round that chose the measurement; 0 for the base."""
    checkpoint: CheckpointTrained | None
    """The candidate's weights; None for the base."""
    substrate: Substrate
    """Base model and code of the campaign."""
    campaign: Campaign
    """The campaign."""
    reference: BaseReference | None = None
    """What the score is compared with; None for the base, and until it is measured."""

    def payload(self) -> dict[str, Any]:
        """The order as JSON; fields that came later are left out at their default."""
        later = {name for name in ("reference", "guards") if not getattr(self, name, None)}
        return self.model_dump(mode="json", exclude=later)


class ScoreOrder(Measurement):
    """A measurement by the oracle itself (queue `score`)."""

    guards: bool = False
    """Whether the guards are measured too."""


class BoardOrder(Measurement):
    """A query of a board (queue `board`)."""


class FingerprintOrder(Frozen):
    """The fingerprints of a campaign's sealed sets (queue `fingerprints`)."""

    campaign: Campaign
    """The campaign."""
    basis: Basis
    """State of the log that the order follows from."""

    def payload(self) -> dict[str, Any]:
        """The order as JSON."""
        return self.model_dump(mode="json")


def measurement(job: Job | Work) -> ScoreOrder | BoardOrder:
    """The order of a job, queued or leased, of the queues `score` and `board`."""
    return (BoardOrder if job.queue == BOARD else ScoreOrder).model_validate(job.payload)
