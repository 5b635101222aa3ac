"""Drives a source as the data service does: rows and what is remembered are kept together, step by step."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from schemas.rows import Row
from services.data.sources.source import Skipped, Source


@dataclass
class Harvest:
    """What a source has given so far."""

    state: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    examples: list[Skipped] = field(default_factory=list)
    steps: int = 0

    def go_on(self, source: Source, steps: int | None = None) -> Harvest:
        """Drive on from the state; after so many steps the process is killed."""
        for step in islice(source.harvest(self.state), steps):
            self.state |= json.loads(json.dumps(step.remember))
            self.rows += step.rows
            self.skipped += Counter(step.skipped)
            self.examples += step.examples
            self.steps += 1
        return self

    @property
    def texts(self) -> list[str]:
        return [row.trace for row in self.rows]
