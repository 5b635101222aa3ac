"""The interface of a source: a stream of steps, each of which may be the last before a crash.

A step holds rows and the state needed to continue after them. The caller stores both in one transaction, so a source
that is killed at any moment neither fetches nor yields a row twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from schemas.campaign import Model
from schemas.rows import Row
from services.data.job import Sampled
from services.data.sources.suites import Suites

State = Mapping[str, Any]
"""A source's stored state: JSON values by key, of all earlier rounds and of this round's steps so far."""


@dataclass(frozen=True)
class Skipped:
    """Input that gave no row, as an example of its reason."""

    reason: str
    """Key of `Step.skipped`."""
    place: str
    """Where it stands, such as a file and a line."""
    text: str
    """Its beginning, as it was read."""


@dataclass(frozen=True)
class Step:
    """One piece of a harvest."""

    rows: tuple[Row, ...] = ()
    """New rows."""
    remember: Mapping[str, Any] = field(default_factory=dict)
    """State keys with new values."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Input that gave no row, counted by reason: short names such as `robots` or `too_long`."""
    examples: tuple[Skipped, ...] = ()
    """Up to `EXAMPLES` of each reason."""


@dataclass(frozen=True)
class Sampling:
    """The model that a source may sample, and the puzzles that the policy expects to train on."""

    sampled: Sampled
    """The model's files."""
    model: Model
    """Limits of prompts and answers."""
    copies: Path
    """Local copies of artifacts from an object store."""
    difficulty: Sequence[float]
    """Weights of the difficulties 1, 2, 3."""
    wordings: Sequence[float]
    """Weights of the wordings 0, 1, 2."""


@dataclass(frozen=True)
class RoundContext:
    """What a source gets besides its part of the campaign file."""

    round: int
    """The round, from 1."""
    seed: int = 0
    """The campaign's seed."""
    sampling: Sampling | None = None
    """None unless the campaign has a `self` source."""
    suites: Suites | None = None
    """The campaign's suites; None for a campaign that is measured on the puzzle families."""


def skipped(reason: str, place: str, remember: Mapping[str, Any] | None = None, *, count: int = 1) -> Step:
    """A step without rows: the reason why a place, such as a file or an address, gave none."""
    return Step((), remember or {}, {reason: count}, (Skipped(reason, place, ""),))


class Source(Protocol):
    """A source of a campaign in one round. Its class is called with its part of the campaign file and the context."""

    name: str
    """Its name in the campaign file."""

    def harvest(self, state: State) -> Iterator[Step]:
        """Everything new since the state, in steps of bounded size, up to the round's quota.

        `state` is live: it includes what earlier steps stored. Bad input is counted in `skipped`; only an error that
        makes the whole source unusable is raised, as `SourceFailed`.
        """


class SourceFailed(Exception):
    """A source cannot be read at all; its message names the field, the value and the remedy."""


class Refused(Exception):
    """A page, line or record that gives no row; `reason` is its name in `Step.skipped`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


STEP_ROWS = 200
"""Maximum rows of a step: few enough to repeat after a crash, enough to make transactions cheap."""

EXAMPLES = 5
"""Maximum examples of input that gave no row, per source and reason."""

EXAMPLE_CHARACTERS = 1_000
"""Characters of an example that are passed on."""

STEP_CHARACTERS = 4_000_000
"""Characters of a step beyond which no row is added."""


class Batch:
    """Collects rows and refusals until they make a step."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._skipped: Counter[str] = Counter()
        self._examples: list[Skipped] = []
        self._characters = 0

    def add(self, row: Row) -> None:
        """Add a row."""
        self._rows.append(row)
        self._characters += len(row.prompt) + len(row.trace)

    def skip(self, reason: str, place: str = "", record: object = "") -> None:
        """Count refused input, and keep the first of each reason as examples: a line, or a record."""
        self._skipped[reason] += 1
        if place and self._skipped[reason] <= EXAMPLES:
            text = record if isinstance(record, str) else json.dumps(record, ensure_ascii=False, default=str)
            self._examples.append(Skipped(reason, place, text[:EXAMPLE_CHARACTERS]))

    @property
    def empty(self) -> bool:
        """Whether it holds neither rows nor refusals."""
        return not self._rows and not self._skipped

    @property
    def full(self) -> bool:
        """Whether the step should end here."""
        size = len(self._rows) + self._skipped.total()
        return size >= STEP_ROWS or self._characters >= STEP_CHARACTERS

    def step(self, remember: Mapping[str, Any]) -> Step:
        """The collected step with its state; the batch is empty afterwards."""
        step = Step(tuple(self._rows), dict(remember), dict(self._skipped), tuple(self._examples))
        self._rows, self._skipped, self._examples, self._characters = [], Counter(), [], 0
        return step
