"""What the open round waits for before its first candidate: its data, and what the last try to make them came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from judgement.history import History
from schemas.envelope import round_stream


@dataclass(frozen=True)
class Gathering:
    """How far a round's data have come."""

    words: str
    """In a line."""
    failed: bool = False
    """Whether the last try failed; it is made again until there are data."""


def gathering(history: History, progress: Mapping[str, Mapping[str, Any]]) -> Gathering | None:
    """Of the open round; None where its data are there, or nothing is known of them."""
    if history.closed or history.round in history.snapshots:
        return None
    live = progress.get(round_stream(history.id, history.round), {})
    if "error" in live:
        said = f"round {history.round} has no data yet: {live['error']}: {live['message']}; it is tried again"
        return Gathering(said, failed=True)
    if "source" in live:
        return Gathering(f"round {history.round} collects: {live['rows']} rows so far, now from {live['source']}")
    return None
