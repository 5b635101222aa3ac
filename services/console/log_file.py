"""Files of JSON lines beside the log: exported rows, events and anchors. They are read strictly, one line in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from reprlib import repr as shortened
from typing import TextIO, TypeVar

import typer
from pydantic import ValidationError

from eventstore.integrity.anchors import Anchor, is_torn
from eventstore.read import to_envelope
from eventstore.row import Row
from schemas.base import Frozen
from schemas.envelope import Envelope
from services.runtime.user_error import UserError

Line = TypeVar("Line")
Model = TypeVar("Model", bound=Frozen)


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of an exported log. Raises `UserError` for a line that is none."""
    return _lines(file, Row.from_json, "write it with `aevolve export`")


def read_envelopes(file: Path) -> Iterator[Envelope]:
    """The events of a `log.jsonl` or of an exported log. Raises `UserError` for a line that is none."""
    if _is_export(file):
        return (to_envelope(row) for row in read_rows(file))
    return _lines(file, strictly(Envelope), "give the log as `aevolve demo` or `aevolve export` wrote it")


def _is_export(file: Path) -> bool:
    """Whether the first line ends with a hash of its own: an envelope ends with its payload."""
    if not file.is_file():
        return False
    with file.open("rb") as lines:
        return bool(re.search(rb',"hash":"[0-9a-f]{64}"\}\s*$', lines.readline()))


def read_anchors(file: Path) -> Iterator[Anchor]:
    """The anchors of a file, genuine or not. Raises `UserError` for a line that is none."""
    return _lines(file, strictly(Anchor), "restore it from a copy", torn=is_torn)


@contextmanager
def written(file: Path) -> Iterator[TextIO]:
    """A file that appears once it is whole, or standard output (`-`): half an export would pass for an old one."""
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


def strictly(model: type[Model]) -> Callable[[bytes], Model]:
    """How a record of a file is read: as it was written, with nothing converted."""
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
