"""The CloudEvents headers of every message as a JSON Schema; `schemas.envelope` writes and reads them."""

from __future__ import annotations

from typing import Any


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
