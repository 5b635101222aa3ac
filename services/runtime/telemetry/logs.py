"""Log lines, as text for people or as JSON for machines; the latter say which event and which trace they belong to.

A JSON line is made to be collected, so it quotes no data: of a library's exception it keeps the class and the places,
and not the words (`services.runtime.telemetry.redaction`). The text for people, on the machine itself, has all of it.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.runtime.telemetry.redaction import words

ABOUT: ContextVar[dict[str, Any]] = ContextVar("about", default={})  # noqa: B039 - it is replaced, never changed
"""What the work that is going on is about."""

TEXT = "%(asctime)s {service} %(levelname)s %(name)s: %(message)s"


@contextmanager
def about(**fields: Any) -> Iterator[None]:
    """Add fields to each JSON line that is logged within the block; those that are None are left out."""
    outside = ABOUT.set(ABOUT.get() | {name: value for name, value in fields.items() if value is not None})
    try:
        yield
    finally:
        ABOUT.reset(outside)


def configure(service: str, format_: str) -> None:
    """Log to standard error from here on, as `text` or as `json`."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(service) if format_ == "json" else logging.Formatter(TEXT.format(service=service)))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it logs 80 lines a second while a broker is away
    if format_ == "json":
        logging.captureWarnings(capture=True)
        sys.excepthook = _last_words


def _last_words(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    logging.getLogger("aevolve").critical("the process ends", exc_info=(kind, error, trace))


class JsonLines(logging.Formatter):
    """A record as one JSON object on one line."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "service": self.service,
            "logger": record.name,
            "message": record.getMessage(),
            **_context(ABOUT.get()),
            **_failure(record.exc_info[1] if record.exc_info else None),
        }
        return json.dumps(line, ensure_ascii=False, default=str)


def _context(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields, with the trace context in its parts as tools look for them."""
    rest = {name: value for name, value in fields.items() if name != "traceparent"}
    if "traceparent" not in fields:
        return rest
    _, trace_id, span_id, _ = fields["traceparent"].split("-")
    return {**rest, "trace_id": trace_id, "span_id": span_id}


def _failure(error: BaseException | None) -> dict[str, Any]:
    if error is None:
        return {}
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "error_message": words(error) if frames else "",
        "error_stack": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }
