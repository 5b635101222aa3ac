"""What a log says, for comparing the logs of two campaigns."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from schemas.base import canonical_json
from schemas.envelope import Envelope

TIMES_AND_IDS = {"basis", "uri", "receipt", "worker", "seconds", "device_seconds", "cost"}


def told(envelopes: Iterable[Envelope], also: Collection[str] = ()) -> dict[str, list[tuple[str, str]]]:
    """Each stream's events without times and ids, and without the order between streams; `also` names more to omit."""
    left_out = TIMES_AND_IDS | set(also)

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items() if key not in left_out}
        return [plain(item) for item in value] if isinstance(value, list) else value

    streams: dict[str, list[tuple[str, str]]] = {}
    for envelope in envelopes:
        stream = envelope.subject.partition("/")[2]
        streams.setdefault(stream, []).append((envelope.type, canonical_json(plain(envelope.data))))
    return streams
