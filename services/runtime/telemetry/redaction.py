"""What the log may say of a failed job. Events are for ever, so they must never quote a row of text."""

from __future__ import annotations

import os
import re
import traceback
from pathlib import Path

LONGEST = 500
"""Characters of a message."""
OURS = ("schemas", "judgement", "tasks", "eventstore", "sizing", "services", "audit")
"""Packages whose own exceptions are worded for the log: paths, settings, numbers, and what to do."""
RAISED = re.compile(r"(?s)(?P<before>[^\n]{1,300}?: \w{1,80}): .* (?P<after>\([^()]{1,200}:\d+\))")
"""A user's function that raised: function, class, the quoted words, file and line."""
SCORED = re.compile(r"(?s)(?P<before>.{1,300}?: score \d+ is) .*(?P<after>; return [^;]*)")
"""A score that is none: scorer and place, the quoted value, the remedy."""
NOT_QUOTED = "[not quoted: see the service's log]"


def safe_message(error: BaseException) -> str:
    """A failure's message: our own as they are, a library's by its place, because it may quote what it read.

    What the system says of itself, such as that a disk is full, quotes nothing and stands before the place.
    """
    kind = type(error)
    if kind.__module__.partition(".")[0] in OURS:
        text = _without_quote(kind.__name__, str(error)).replace("\0", "")  # the log takes no NUL
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}, line {last.lineno}, in {last.name}"
    if isinstance(error, OSError) and error.errno:
        return f"{os.strerror(error.errno)} (raised at {place})"
    return f"raised at {place}; its words may quote data and stand in the service's log alone"


def _without_quote(kind: str, text: str) -> str:
    """A message of ours without what a user's code raised or returned, which may be a row or an answer."""
    if kind == "UserCodeFailed":
        before, separator, _ = text.partition(": ")
        if match := RAISED.fullmatch(text):
            return f"{match['before']} {match['after']} {NOT_QUOTED}"
        return f"{before} {NOT_QUOTED}" if separator else text
    if kind == "ScoreInvalid" and (match := SCORED.fullmatch(text)):
        return f"{match['before']} {NOT_QUOTED}{match['after']}"
    return text
