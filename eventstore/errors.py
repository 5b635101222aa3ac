"""What the store refuses. A rejection of the database is recognised by its constraint's name, never by its message."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg


class StreamConflict(Exception):  # an outcome to decide upon, not a fault
    """Another writer was faster: read the stream again and decide again."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"stream {stream!r} has version {actual}, expected {expected}: read it again and decide again")
        self.stream, self.expected, self.actual = stream, expected, actual


class NotAWriter(PermissionError):
    """The role may not write this type of event (`schemas.writers.WRITERS`)."""

    def __init__(self, role: str, type_: str, campaign: str) -> None:
        super().__init__(
            f"role {role!r} may not write {type_} into campaign {campaign!r}: leave it to its writer,"
            " or as the console use a campaign that was started with `test: true`",
        )
        self.role, self.type, self.campaign = role, type_, campaign


class UnknownEvent(LookupError):
    """An event that is not in the log, and therefore is none."""

    def __init__(self, constraint: str, detail: str) -> None:
        super().__init__(f"{detail} Only events of this log can be handled or named as a cause ({constraint}).")


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
    # asyncpg says this where the server ends a session in the moment in which we use it.
    asyncpg.InternalClientError,
)
"""What a lost database looks like; whoever retries after a pause catches these."""


def _conflict(error: Any) -> Exception:
    return StreamConflict(**json.loads(error.detail))


def _not_a_writer(error: Any) -> Exception:
    detail = json.loads(error.detail)
    return NotAWriter(detail["role"], detail["type"], detail["campaign"])


def _unknown_event(error: Any) -> Exception:
    return UnknownEvent(error.constraint_name, error.detail)


MEANING: dict[str, Callable[[Any], Exception]] = {
    "events_expected_version": _conflict,
    "events_writer": _not_a_writer,
    "events_causation": _unknown_event,
    "inbox_event": _unknown_event,
    "work_cause": _unknown_event,
}
"""Constraint -> the exception it stands for."""


@contextmanager
def meaningful() -> Iterator[None]:
    """Raise the store's own exception where a named constraint of the database rejects a statement."""
    try:
        yield
    except asyncpg.PostgresError as error:
        meaning = MEANING.get(getattr(error, "constraint_name", None) or "")
        if meaning is None:
            raise
        raise meaning(error) from error
