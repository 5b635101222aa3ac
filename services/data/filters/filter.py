"""The interface of a filter: it looks at one row by itself, and keeps, changes or drops it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.rows import Row


@dataclass(frozen=True)
class Dropped:
    """The verdict on a row that is not kept."""

    filter: str
    """Name of the filter."""
    reason: str
    """A short code that can be counted."""
    detail: str = ""
    """More for a reader, such as the detected language; never the text itself."""

    @property
    def key(self) -> str:
        """Name in the counts of drops: `filter/reason`."""
        return f"{self.filter}/{self.reason}"


class Filter(Protocol):
    """A check of one row; equal rows have equal verdicts, in any order."""

    name: str
    """Its name in the counts of dropped rows."""

    def judge(self, row: Row) -> Row | Dropped:
        """The row, perhaps changed, or the reason to drop it."""


class TextsOnly:
    """A filter made for web pages: it judges plain texts, and keeps rows with a question."""

    def __init__(self, inner: Filter) -> None:
        self.name, self._inner = inner.name, inner

    def judge(self, row: Row) -> Row | Dropped:
        """The inner filter's verdict on a plain text."""
        return row if row.prompt else self._inner.judge(row)


def judged(filters: Sequence[Filter], row: Row) -> Row | Dropped:
    """The verdict of all filters in their order; the first drop ends it."""
    for one in filters:
        verdict = one.judge(row)
        if isinstance(verdict, Dropped):
            return verdict
        row = verdict
    return row


def text_of(row: Row) -> str:
    """Prompt, trace and answer of a row as one text."""
    return "\n".join(part for part in (row.prompt, row.trace, row.answer) if part)
