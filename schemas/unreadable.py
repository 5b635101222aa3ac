"""The error of a recorded event that cannot be read; apart, so that a command line need not load pydantic."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.envelope import Envelope


LONGEST_REASON = 500
"""Characters of the reason that are kept: it may repeat a value of the payload."""


class UnreadableEvent(ValueError):
    """A recorded event whose payload is none of its type and version. No service of this release wrote it."""

    def __init__(self, envelope: Envelope, reason: str) -> None:
        reason = reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}..."
        super().__init__(
            f"position {envelope.sequence}: {envelope.type} version {envelope.version} of campaign "
            f"{envelope.correlationid}, written by {envelope.source}, cannot be read: {reason}"
        )
        self.reason = reason
