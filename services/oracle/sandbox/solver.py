"""The confined process that holds the program: it runs it, then answers calls of its functions, and knows no test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from services.oracle.sandbox import plain


def serve(work: Mapping[str, Any], requests: BinaryIO, answers: BinaryIO) -> None:
    """Run the program, say whether it could be run, and answer until nobody asks."""
    names: dict[str, Any] = {"__name__": "program"}
    _say(answers, lambda: exec(work["program"], names), work["message"])  # noqa: S102  # what the fences are for
    for line in requests:
        name, args, kwargs = plain.loads(line)
        _say(answers, lambda: names[name](*args, **kwargs), work["message"])  # noqa: B023  # called at once


def _say(answers: BinaryIO, call: Any, most: int) -> None:
    try:
        line = plain.dumps(("value", call()))
    except BaseException as error:  # noqa: BLE001  # whatever the program raises is its answer
        line = plain.dumps(("raised", type(error).__name__))
    answers.write(line if len(line) <= most else plain.dumps(("raised", "MemoryError")))
    answers.flush()
