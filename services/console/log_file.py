"""Files beside the log: exported rows, events, anchors, and events written by hand for tests; all read strictly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, TextIO, TypeVar

import typer
from pydantic import ValidationError

from eventstore.effect import Append
from eventstore.integrity.anchors import Anchor, is_torn
from eventstore.read import to_envelope
from eventstore.row import Row
from schemas.base import Frozen
from schemas.envelope import Envelope
from schemas.registry import EVENTS
from services.runtime.user_error import UserError, nearest

Line = TypeVar("Line")
Model = TypeVar("Model", bound=Frozen)

KEYS = ("campaign", "subject", "type", "data")
"""Of an event written by hand."""


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of an exported log. Raises `UserError` for an invalid line."""
    return _lines(file, Row.from_json, "write it with `aevolve export`")


def read_envelopes(file: Path) -> Iterator[Envelope]:
    """The events of a `log.jsonl` or of an exported log. Raises `UserError` for an invalid line."""
    if _is_export(file):
        return (to_envelope(row) for row in read_rows(file))
    return _lines(file, strict_parser(Envelope), "give the log as `aevolve demo` or `aevolve export` wrote it")


def _is_export(file: Path) -> bool:
    """Whether the first line ends with its own hash; an envelope ends with its payload."""
    if not file.is_file():
        return False
    with file.open("rb") as lines:
        return bool(re.search(rb',"hash":"[0-9a-f]{64}"\}\s*$', lines.readline()))


def read_anchors(file: Path) -> Iterator[Anchor]:
    """The anchors of a file, genuine or not. Raises `UserError` for an invalid line."""
    return _lines(file, strict_parser(Anchor), "restore it from a copy", torn=is_torn)


@contextmanager
def atomic_output(file: Path) -> Iterator[TextIO]:
    """A file that appears once it is complete, or standard output (`-`): half an export would pass for an old one."""
    if str(file) == "-":
        yield typer.get_text_stream("stdout", encoding="utf-8")
        return
    new = file if file.exists() and not file.is_file() else file.with_name(f".{file.name}.new")  # a pipe stays one
    try:
        output = new.open("w", encoding="utf-8")
    except OSError as error:
        raise UserError(f"FILE: {file}; it cannot be written ({error.strerror}): name another file") from error
    with output:
        yield output
    new.replace(file)


def strict_parser(model: type[Model]) -> Callable[[bytes], Model]:
    """Parse a record without converting types."""
    return partial(model.model_validate_json, strict=True)


def _lines(
    file: Path, parse: Callable[[bytes], Line], remedy: str, torn: Callable[[bytes], bool] = lambda _: False
) -> Iterator[Line]:
    """The records of a file. Raises `UserError` that names the line, the field, its value and what would be right."""
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if torn(line):
                    return
                yield _record(f"{file}: line {number}", line, parse, remedy)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); name another file") from error


def _record(where: str, line: bytes, parse: Callable[[bytes], Line], remedy: str) -> Line:
    try:
        return parse(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "all of it"
        raise UserError(f"{where}: {field}: {shortened(first['input'])}; {first['msg']}: {remedy}") from error


def read_test_events(file: Path) -> list[Append]:
    """Events written by hand: a JSON file (one object or a list) or JSON lines.

    Raises `UserError` with the event's number, field, value and remedy.
    """
    try:
        objects = _objects(file.read_text())
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); name a file of events") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{file}: is neither JSON nor JSON lines: {error}") from error
    return [_append(f"{file}: event {number}", value) for number, value in enumerate(objects, start=1)]


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
        has = ", ".join(value) if isinstance(value, dict) else type(value).__name__
        raise UserError(f"{where}: has {has}; an event has the keys {', '.join(KEYS)}")
    model = known_type(value["type"])
    try:
        event = model.model_validate(value["data"])
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(["data", *map(str, first["loc"])])
        raise UserError(f"{where}: {field}: {first['input']!r}; {first['msg']}") from error
    return Append(str(value["campaign"]), str(value["subject"]), event)
