"""Log lines, as text for people or as JSON with the ids of event and trace.

JSON lines are collected by other systems, so they quote no data: of a library's exception they hold the class and the
stack, not the message (`services.runtime.telemetry.redaction`). The text format holds the whole exception.
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

from services.runtime.telemetry.redaction import safe_message

LOG_FIELDS: ContextVar[dict[str, Any]] = ContextVar("log_fields", default={})  # noqa: B039 - it is replaced, never changed
"""Fields of every JSON line logged in the current context."""

TEXT = "%(asctime)s {service} %(levelname)s %(name)s: %(message)s"


@contextmanager
def log_fields(**fields: Any) -> Iterator[None]:
    """Add fields to each JSON line that is logged within the block; those that are None are left out."""
    outside = LOG_FIELDS.set(LOG_FIELDS.get() | {name: value for name, value in fields.items() if value is not None})
    try:
        yield
    finally:
        LOG_FIELDS.reset(outside)


def configure(service: str, format_: str) -> None:
    """Log to standard error from here on, as `text` or as `json`."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(service) if format_ == "json" else logging.Formatter(TEXT.format(service=service)))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it logs 80 lines a second while a broker is away
    if format_ == "json":
        logging.captureWarnings(capture=True)
        sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
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
            **_context(LOG_FIELDS.get()),
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
        "error_message": safe_message(error) if frames else "",
        "error_stack": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }
