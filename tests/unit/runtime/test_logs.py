"""JSON lines that machines can join: with the ids of event, campaign and trace, and without anybody's data."""

import json
import logging

from services.runtime.telemetry.logs import JsonLines, log_fields
from services.runtime.telemetry.tracing import span

PARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def line(message="hello", error=None):
    exc = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("services.x", logging.WARNING, "x.py", 1, message, (), exc)
    return json.loads(JsonLines("oracle").format(record))


def failure():
    try:
        int("the patient is called Ann")
    except ValueError as error:
        return error


def test_a_line_says_who_and_what():
    told = line("two\nlines")
    assert (told["service"], told["level"], told["message"]) == ("oracle", "warning", "two\nlines")
    assert told["time"].endswith("+00:00")


def test_a_line_names_event_campaign_and_trace():
    with log_fields(event_id="e", correlation_id="c", attempt=None), span("work", parent=PARENT):
        told = line()
    assert (told["event_id"], told["correlation_id"]) == ("e", "c")
    assert (told["trace_id"], told["span_id"]) == ("a" * 32, "b" * 16)
    assert "attempt" not in told
    assert "event_id" not in line()


def test_a_librarys_exception_is_told_by_class_and_place_alone():
    told = line(error=failure())
    assert told["error"] == "ValueError"
    assert "patient" not in json.dumps(told)
    assert any(frame.startswith("test_logs.py:") for frame in told["error_stack"])
