"""What the store refuses, and what a database looks like that is away."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg

MAX_EVENT_BYTES = 900_000
"""Largest payload of an event in UTF-8: a Kafka message of 1 MiB holds it with its headers."""


class StreamConflict(Exception):  # an outcome to decide upon, not a fault
    """Another writer was faster: read the stream again and decide again."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"stream {stream!r} has version {actual}, expected {expected}: read it again and decide again")
        self.stream, self.expected, self.actual = stream, expected, actual


class NotAWriter(PermissionError):
    """The role may not write this type of event (`schemas.registry.WRITERS`)."""

    def __init__(self, role: str, type: str, campaign: str) -> None:  # noqa: A002  # as the refusal says it
        super().__init__(
            f"role {role!r} may not write {type} into campaign {campaign!r}: leave it to its writer,"
            " or as the console use a campaign that was started with `test: true`",
        )
        self.role, self.type, self.campaign = role, type, campaign


class UnknownEvent(LookupError):
    """An event that is not in the log, and therefore is none."""

    def __init__(self, event: str) -> None:
        super().__init__(f"event {event} is not in the log: only what is can be handled or named as a cause")
        self.event = event


class EventTooLarge(ValueError):
    """An event whose payload does not fit into one Kafka message; large values belong into artifacts."""

    def __init__(self, type: str, campaign: str, size: int) -> None:  # noqa: A002  # the envelope's name for it
        super().__init__(
            f"{type} of campaign {campaign!r}: {size:,} bytes; an event holds at most {MAX_EVENT_BYTES:,}:"
            " put long lists into a file or an artifact and name that"
        )
        self.type, self.campaign, self.size = type, campaign, size


class LeaseLost(Exception):
    """The job was taken over, ended or cancelled: stop working on it and write nothing."""

    def __init__(self, queue: str, key: str) -> None:
        super().__init__(f"the lease of job {key!r} in queue {queue!r} is lost: stop working on it")
        self.queue, self.key = queue, key


DISCONNECTED: tuple[type[Exception], ...] = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    # The disk is full, or all connections are taken, or somebody sits on the log's head.
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    # The queue of notifications is full: nobody commits an append until `end_blockers` has ended who keeps it so.
    asyncpg.ProgramLimitExceededError,
    # asyncpg says this where the server ends a session in the moment in which we use it.
    asyncpg.InternalClientError,
)
"""What a database looks like that is away or held up; whoever retries after a pause catches these."""

REFUSALS: dict[str, Callable[..., Exception | None]] = {
    "conflict": StreamConflict,
    "not a writer": NotAWriter,
    "unknown event": UnknownEvent,
    "handled": lambda: None,
}
"""Kind of a refusal, as `write_effects_v1` says it -> what it means; None: all was done before."""
