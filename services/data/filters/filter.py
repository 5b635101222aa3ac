"""A filter looks at one row by itself: it keeps it, changes it, or drops it and says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.rows import Row


@dataclass(frozen=True)
class Dropped:
    """A row that is not kept."""

    filter: str
    """Name of the filter."""
    reason: str
    """Why, in one of a few words that can be counted."""
    detail: str = ""
    """What a person wants to know besides, such as the language found; never the text itself."""

    @property
    def key(self) -> str:
        """How drops are counted: `filter/reason`."""
        return f"{self.filter}/{self.reason}"


class Filter(Protocol):
    """One look at one row; equal rows have equal verdicts, in any order."""

    name: str
    """Its name in the counts of dropped rows."""

    def judge(self, row: Row) -> Row | Dropped:
        """The row, changed where it was scrubbed, or why it is dropped."""


def judged(filters: Sequence[Filter], row: Row) -> Row | Dropped:
    """The verdict of all filters in their order; the first that drops the row ends it."""
    for one in filters:
        verdict = one.judge(row)
        if isinstance(verdict, Dropped):
            return verdict
        row = verdict
    return row


def text_of(row: Row) -> str:
    """All that a row teaches or asks, as one text."""
    return "\n".join(part for part in (row.prompt, row.trace, row.answer) if part)
