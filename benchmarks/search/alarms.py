"""What a detector's statistics come to at a threshold: false alarms, power, delay and the domain that it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.search.detectors.registry import DETECTORS, OURS
from benchmarks.search.intervals import mean_half_width
from benchmarks.search.streams import Stream
from judgement.statistics import clopper_pearson

ROWS = {name: row for row, name in enumerate(DETECTORS)}


@dataclass(frozen=True)
class Rate:
    """A share with its exact interval."""

    k: int
    """How many."""
    n: int
    """Of how many."""

    @property
    def share(self) -> float:
        """The share; not a number where there was nothing to count."""
        return self.k / self.n if self.n else float("nan")

    @property
    def bounds(self) -> tuple[float, float]:
        """95 % Clopper-Pearson."""
        return clopper_pearson(self.k, self.n)


@dataclass(frozen=True)
class Power:
    """Detection in one kind of world."""

    rate: Rate
    """Runs alarmed at or after their exposure, of the exposed."""
    early: Rate
    """Runs alarmed before anything could be noticed, of all."""
    delay: tuple[float, float]
    """Mean rounds from exposure to alarm and half its interval; not a number without an alarm."""
    named: Rate
    """Right domain named, of the alarmed; only the shipped test names one."""


def first_alarm(stream: Stream, detector: str, threshold: float) -> int | None:
    """The round of the first alarm."""
    over = np.flatnonzero(stream.statistics[ROWS[detector]] >= threshold)
    return int(over[0]) + 1 if len(over) else None


def false_alarms(streams: Sequence[Stream], detector: str, threshold: float) -> Rate:
    """In worlds where nothing drifts."""
    return Rate(sum(first_alarm(s, detector, threshold) is not None for s in streams), len(streams))


def tuned(streams: Sequence[Stream], detector: str, alarms: int) -> float:
    """The least threshold at which no more than so many of the streams alarm."""
    highest = sorted((float(s.statistics[ROWS[detector]].max()) for s in streams), reverse=True)
    return float(np.nextafter(highest[alarms], np.inf))


def power(streams: Sequence[Stream], detector: str, threshold: float) -> Power:
    """In worlds that drift."""
    first = [(s, first_alarm(s, detector, threshold)) for s in streams]
    exposed = [(s, at) for s, at in first if s.exposed]
    hits = [(s, at, s.exposed) for s, at in exposed if at and s.exposed and at >= s.exposed]
    early = sum(at is not None and (s.exposed is None or at < s.exposed) for s, at in first)
    delays = [at - since for _, at, since in hits]
    right = sum(s.domain in s.named[at - 1] for s, at, _ in hits) if detector == OURS else 0
    return Power(
        rate=Rate(len(hits), len(exposed)),
        early=Rate(early, len(streams)),
        delay=mean_half_width(delays) if delays else (float("nan"), float("nan")),
        named=Rate(right, len(hits) if detector == OURS else 0),
    )
