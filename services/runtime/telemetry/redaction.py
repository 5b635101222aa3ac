"""What the log may say of a failed job. Events are for ever, so they must never quote a row of text."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

LONGEST = 500
"""Characters of a message."""
OURS = ("schemas", "judgement", "tasks", "eventstore", "sizing", "services", "audit")
"""Packages whose own exceptions are worded for the log: paths, settings, numbers, and what to do."""
QUOTING = ("UserCodeFailed", "ScoreInvalid")
"""Exceptions of ours that quote what a user's code raised or returned, which may be a row or an answer."""


def safe_message(error: BaseException) -> str:
    """A failure's message: our own as they are, a library's by its place, because it may quote what it read.

    What the system says of itself, such as that a disk is full, quotes nothing and stands before the place.
    """
    kind = type(error)
    if kind.__module__.partition(".")[0] in OURS and kind.__name__ not in QUOTING:
        text = str(error)
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}, line {last.lineno}, in {last.name}"
    if isinstance(error, OSError) and error.errno:
        return f"{os.strerror(error.errno)} (raised at {place})"
    return f"raised at {place}; its words may quote data and stand in the service's log alone"
