"""Reads events that a person has written by hand, for tests, as strictly as a service's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from eventstore.effect import Append
from schemas.base import Frozen
from schemas.registry import EVENTS
from services.runtime.user_error import UserError, nearest

KEYS = ("campaign", "subject", "type", "data")


def read_events(file: Path) -> list[Append]:
    """The events of a JSON file (one object or a list) or of JSON lines.

    Raises `UserError` that names the event's number, the field, its value and what would be right.
    """
    try:
        found = _objects(file.read_text())
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); name a file of events") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{file}: is neither JSON nor JSON lines: {error}") from error
    return [_append(f"{file}: event {number}", value) for number, value in enumerate(found, start=1)]


def known_type(name: str) -> type[Frozen]:
    """The model of an event type. Raises `UserError` for an unknown one."""
    if name not in EVENTS:
        raise UserError(f"type: {name!r} is no event; {nearest(name, EVENTS)}")
    return EVENTS[name]


def _objects(text: str) -> list[Any]:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return whole if isinstance(whole, list) else [whole]


def _append(where: str, value: Any) -> Append:
    if not isinstance(value, dict) or set(value) != set(KEYS):
        held = ", ".join(value) if isinstance(value, dict) else type(value).__name__
        raise UserError(f"{where}: has {held}; an event has the keys {', '.join(KEYS)}")
    model = known_type(value["type"])
    try:
        event = model.model_validate(value["data"])
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(["data", *map(str, first["loc"])])
        raise UserError(f"{where}: {field}: {first['input']!r}; {first['msg']}") from error
    return Append(str(value["campaign"]), str(value["subject"]), event)
