"""The one event that every side writes: a trained checkpoint, about 400 bytes of canonical JSON."""

from __future__ import annotations

from eventstore.effect import Append
from schemas.base import canonical_json
from schemas.events import CheckpointTrained
from schemas.evidence import Coverage
from schemas.scores import Cost

EVENT = CheckpointTrained(
    candidate="r4s4",
    attempt=1,
    uri="file:/shared/artifacts/adapters/5f3c2d7be0a14d6f9a0c5f1f7f3a4be2",
    sha256="5f3c2d7be0a14d6f9a0c5f1f7f3a4be2" * 2,
    coverage=Coverage(modules={"q_proj": 24, "k_proj": 24, "v_proj": 24, "o_proj": 24}, moved=96, trainable=786_432),
    loss=0.8315,
    cost=Cost(tokens=230_400, compute=46_080_000_000.0, seconds=41.25, device_seconds=40.5),
)
"""What is written."""

TYPE = type(EVENT).__name__
TEXT = canonical_json(EVENT)
"""Its canonical JSON."""

BYTES = TEXT.encode()
CAMPAIGN = "bench"


def item(stream: str) -> Append:
    """The event for a stream."""
    return Append(CAMPAIGN, stream, EVENT)
