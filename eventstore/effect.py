"""What a decision wants done, as plain data: events to append, work to queue. The store does it in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from schemas.base import Frozen


@dataclass(frozen=True)
class Append:
    """One event to append."""

    campaign: str
    """Campaign id."""
    subject: str
    """Stream."""
    event: Frozen
    """Payload, one of `schemas.events`."""
    expected: int | None = None
    """Version the stream must have before this event (0: it must not exist); None for any."""
    causation: UUID | None = None
    """The event that led to it; the handled event where this is None."""
    id: UUID | None = None
    """Its id, for a writer that may append it twice: the second time changes nothing. None for a new one."""
    traceparent: str | None = None
    """W3C trace context of what it leads to; None for that of its cause."""


@dataclass(frozen=True)
class Work:
    """One long job to queue. A second row of the same queue and key is a no-op."""

    queue: str
    """`data`, `train`, `score` or `board`."""
    key: str
    """Unique in its queue."""
    campaign: str
    """Campaign id."""
    payload: dict[str, Any]
    """What the worker needs; JSON."""
    priority: int = 0
    """Higher first."""
    attempts: int = 2
    """Tries allowed."""
    deadline: datetime | None = None
    """When the job is no longer worth doing."""
    cause: UUID | None = None
    """The event that led to it."""


@dataclass(frozen=True)
class Effect:
    """A handler's whole effect."""

    events: tuple[Append, ...] = ()
    work: tuple[Work, ...] = field(default=())

    def __add__(self, other: Effect) -> Effect:
        return Effect(self.events + other.events, self.work + other.work)

    def __bool__(self) -> bool:
        return bool(self.events or self.work)


NOTHING = Effect()
