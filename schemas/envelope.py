"""CloudEvents 1.0 around every event, in the log and on Kafka (binary mode: `ce_*` headers, key = stream).

Spec: https://github.com/cloudevents/spec, v1.0.2, Kafka protocol binding section 3.2.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field, ValidationError

from schemas.base import Frozen
from schemas.registry import parse, schema_id
from schemas.unreadable import UnreadableEvent

UNPARSED: dict[str, Any] = {"": "cannot be parsed"}
"""The data of an envelope whose recorded payload is no JSON that Python can hold, such as one nested 1,000 deep."""


def _reason(error: Exception) -> str:
    """The first problem of a payload, without its value: that may be anything."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'data'}: {first['msg']}"
    return f"{type(error).__name__}: {error}" if isinstance(error, (LookupError, TypeError)) else str(error)


class Envelope(Frozen):
    """One event as recorded: its attributes, and its payload as canonical JSON data."""

    id: UUID
    """UUIDv7, unique for ever."""
    source: str
    """The writer, as `aevolve/<service>`."""
    type: str
    """Event type, such as `PolicyUpdated`."""
    subject: str
    """Stream, as `<campaign>`, `<campaign>/round/<n>` or `<campaign>/<candidate>`."""
    time: datetime
    """When it was appended, UTC."""
    version: int = Field(1, ge=1)
    """Version of the payload's schema."""
    sequence: int = Field(ge=1)
    """Global position in the log, gapless from 1."""
    stream_version: int = Field(ge=1)
    """Place in its stream, gapless from 1."""
    correlationid: str
    """Campaign id."""
    causationid: UUID | None = None
    """The event that led to it."""
    traceparent: str | None = None
    """W3C trace context."""
    data: dict[str, Any]
    """The payload."""

    @property
    def event(self) -> Any:
        """The payload as its model. Raises `UnreadableEvent`."""
        if self.data == UNPARSED:
            raise UnreadableEvent(self, "its payload is no JSON that can be parsed here")
        try:
            return parse(self.type, self.version, self.data)
        except (LookupError, TypeError, ValueError, RecursionError) as error:
            raise UnreadableEvent(self, _reason(error)) from error

    def headers(self) -> dict[str, str]:
        """The CloudEvents attributes as Kafka headers."""
        optional = {"ce_causationid": self.causationid, "ce_traceparent": self.traceparent}
        return {
            "ce_specversion": "1.0",
            "ce_id": str(self.id),
            "ce_source": self.source,
            "ce_type": self.type,
            "ce_subject": self.subject,
            "ce_time": self.time.isoformat(),
            "ce_dataschema": schema_id(self.type, self.version),
            "ce_sequence": f"{self.sequence:020d}",
            "ce_streamversion": str(self.stream_version),
            "ce_correlationid": self.correlationid,
            "content-type": "application/json",
            **{key: str(value) for key, value in optional.items() if value is not None},
        }

    @classmethod
    def from_headers(cls, headers: dict[str, str], data: dict[str, Any]) -> Envelope:
        """The envelope of a Kafka message. Raises `KeyError` or `ValueError` where an attribute is missing or wrong."""
        return cls(
            id=UUID(headers["ce_id"]),
            source=headers["ce_source"],
            type=headers["ce_type"],
            subject=headers["ce_subject"],
            time=datetime.fromisoformat(headers["ce_time"]),
            version=int(headers["ce_dataschema"].rpartition(".v")[2]),
            sequence=int(headers["ce_sequence"]),
            stream_version=int(headers["ce_streamversion"]),
            correlationid=headers["ce_correlationid"],
            causationid=UUID(headers["ce_causationid"]) if "ce_causationid" in headers else None,
            traceparent=headers.get("ce_traceparent"),
            data=data,
        )


def campaign_stream(campaign: str) -> str:
    """Stream of a campaign's start, policies and end."""
    return campaign


def round_stream(campaign: str, round_: int) -> str:
    """Stream of a round's data, choices and drift."""
    return f"{campaign}/round/{round_}"


def advice_stream(campaign: str, round_: int) -> str:
    """Stream of the advisor's word on a round, and of what became of it."""
    return f"{campaign}/advice/{round_}"


def candidate_stream(campaign: str, candidate: str) -> str:
    """Stream of one candidate."""
    return f"{campaign}/{candidate}"


def data_stream(campaign: str, round_: int) -> str:
    """Stream of what prevented a round's data; the data itself is in the round's stream."""
    return f"{campaign}/data/{round_}"


def fingerprint_stream(campaign: str) -> str:
    """Stream of the fingerprints of a campaign's sealed sets."""
    return f"{campaign}/fingerprints"


def topic(type_: str) -> str:
    """Kafka topic of an event type."""
    return f"aevolve.{type_}"


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


HEADERS: dict[str, Any] = {
    "type": "object",
    "description": "CloudEvents 1.0 in binary mode: the attributes of the event, whose payload is the message's body.",
    "properties": {
        "ce_specversion": _text("Version of CloudEvents.", const="1.0"),
        "ce_id": _text("UUIDv7 of the event, unique for ever.", format="uuid"),
        "ce_source": _text("The writer, as `aevolve/<service>`."),
        "ce_type": _text("Event type."),
        "ce_subject": _text("Stream; also the key of the message."),
        "ce_time": _text("When it was appended, UTC.", format="date-time"),
        "ce_dataschema": _text("Name of the payload's schema, `aevolve:<type>.v<version>`."),
        "ce_sequence": _text("Position in the log, with leading zeros.", pattern="^[0-9]{20}$"),
        "ce_streamversion": _text("Place in its stream.", pattern="^[1-9][0-9]*$"),
        "ce_correlationid": _text("Campaign id."),
        "ce_causationid": _text("The event that led to it, where there is one.", format="uuid"),
        "ce_traceparent": _text("W3C trace context, where there is one."),
        "content-type": _text("Of the body.", const="application/json"),
    },
    "required": [
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_subject",
        "ce_time",
        "ce_dataschema",
        "ce_sequence",
        "ce_streamversion",
        "ce_correlationid",
        "content-type",
    ],
}
"""What stands in the headers of a message."""
