"""One event as recorded. A tuple, because a log has millions: what the database gives is not checked again here."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter
from pydantic_core import from_json

from schemas.base import Frozen
from schemas.envelope import UNPARSED
from schemas.registry import parse_json

Hash = Annotated[bytes, Field(min_length=32, max_length=32)]
"""SHA-256; hexadecimal in JSON."""


class Row(NamedTuple):
    """The columns of `events` in their order, which is that of the canonical bytes."""

    position: int
    id: UUID
    campaign: str
    stream: str
    stream_version: Annotated[int, Field(lt=2**63)]
    type: str
    version: Annotated[int, Field(lt=2**31)]
    source: str
    causation: UUID | None
    traceparent: str | None
    time: Annotated[datetime, AwareDatetime]
    data: str
    """The payload's text, byte for byte."""
    hash: Hash

    @property
    def event(self) -> Frozen:
        """The payload as today's model."""
        return parse_json(self.type, self.version, self.data)

    @classmethod
    def from_json(cls, line: bytes | str) -> Row:
        """A line of an exported log. Raises `pydantic.ValidationError` where it is none."""
        return LINE.validate_json(line, strict=True)

    def to_json(self) -> str:
        """The row as a line of an exported log."""
        values = LINE.dump_python(self, mode="json")
        return json.dumps(dict(zip(self._fields, values, strict=True)), separators=(",", ":"), ensure_ascii=False)


def parsed(text: str) -> Any:
    """The JSON of a column, or `UNPARSED` where Python cannot hold it: a number too long, or nested too deep.

    Any role can write such a text, and the database takes it.
    """
    try:
        return from_json(text)
    except ValueError:
        return UNPARSED


LINE = TypeAdapter(Row, config=ConfigDict(ser_json_bytes="hex", val_json_bytes="hex", extra="forbid"))
