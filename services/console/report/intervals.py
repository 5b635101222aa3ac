"""Intervals of wall time: where work overlaps, the clock is counted once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

Interval = tuple[datetime, datetime]
"""Begin and end."""


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same stretch of time as intervals in order that neither touch nor overlap."""
    merged: list[Interval] = []
    for begin, end in sorted(intervals):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif begin < end:
            merged.append((begin, end))
    return merged


def within(intervals: Iterable[Interval], frames: Iterable[Interval]) -> list[Interval]:
    """The parts of the intervals that lie inside one of the frames."""
    frames = list(frames)
    cut = [(max(begin, low), min(end, high)) for begin, end in intervals for low, high in frames]
    return [(begin, end) for begin, end in cut if begin < end]


def seconds(intervals: Iterable[Interval]) -> float:
    """Length of the union."""
    return sum((end - begin).total_seconds() for begin, end in union(intervals))
