"""Rows and refusals are collected until they make a step of bounded size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from schemas.rows import Row
from services.data.sources.source import Step

STEP_ROWS = 200
"""Rows of one step: few enough to be done again after a crash, enough that transactions cost little."""

STEP_CHARACTERS = 4_000_000
"""Characters of one step, beyond which no row is added."""


class Batch:
    """The step that is being collected."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._skipped: Counter[str] = Counter()
        self._characters = 0

    def add(self, row: Row) -> None:
        """One more row."""
        self._rows.append(row)
        self._characters += len(row.prompt) + len(row.trace)

    def skip(self, reason: str, count: int = 1) -> None:
        """Something was passed over."""
        self._skipped[reason] += count

    @property
    def empty(self) -> bool:
        """Whether there is nothing to say."""
        return not self._rows and not self._skipped

    @property
    def full(self) -> bool:
        """Whether the step should end here."""
        seen = len(self._rows) + self._skipped.total()
        return seen >= STEP_ROWS or self._characters >= STEP_CHARACTERS

    def step(self, remember: Mapping[str, Any]) -> Step:
        """What was collected, with what to remember of it; collecting begins again."""
        step = Step(tuple(self._rows), dict(remember), dict(self._skipped))
        self._rows, self._skipped, self._characters = [], Counter(), 0
        return step
