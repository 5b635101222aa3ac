"""What a source is: a stream of steps, each of which can be the last one before a crash.

A step brings rows together with what the source must remember to go on behind them. Whoever drives a source keeps both
in one transaction, so that a source killed at any moment neither fetches nor gives a row twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from schemas.rows import Row

State = Mapping[str, Any]
"""What a source remembers: JSON values by key, of all earlier rounds and of this round's steps so far."""


@dataclass(frozen=True)
class Step:
    """A piece of a harvest."""

    rows: tuple[Row, ...] = ()
    """Rows that are new."""
    remember: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the state that have new values."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """What was refused or passed over, counted by reason: short names such as `robots` or `too_long`."""


class Source(Protocol):
    """A source of a campaign, made for one round from its part of the campaign file."""

    name: str
    """Its name in the campaign file."""

    def harvest(self, state: State) -> Iterator[Step]:
        """What is new since the state, in steps of bounded size; ends when nothing is left or the round's share is had.

        `state` is live: it shows what the steps before have remembered. Bad input is counted in `skipped`; only what
        makes the whole source unusable is raised, as `SourceFailed`.
        """


class SourceFailed(Exception):
    """A source cannot be read at all; its text names the field, the value and the remedy."""
