"""Of a message only its headers are read: its body may hold anything, of at most the size of an event."""

from __future__ import annotations

from types import SimpleNamespace
from uuid import UUID

import pytest

from eventstore.errors import MAX_EVENT_BYTES
from schemas.envelope import Envelope
from services.policy.app import SERVICE
from services.runtime.kafka.broker import _decoder

EVENT = Envelope(
    id=UUID(int=7),
    source="aevolve/console",
    type="CampaignStarted",
    subject="c",
    time="2026-01-01T00:00:00Z",
    sequence=3,
    stream_version=1,
    correlationid="c",
    data={"much": "data"},
)


async def decoded(body: bytes) -> Envelope:
    return await _decoder(SERVICE)(SimpleNamespace(headers=EVENT.headers(), body=body))


@pytest.mark.parametrize("body", [b"", b"not json", b"[" * MAX_EVENT_BYTES])
async def test_a_body_is_not_parsed(body):
    assert await decoded(body) == EVENT.model_copy(update={"data": {}})


async def test_a_body_that_is_larger_than_any_event_is_a_letter():
    with pytest.raises(ValueError, match=r"body: 900,001 bytes; an event holds at most 900,000"):
        await decoded(b"[" * (MAX_EVENT_BYTES + 1))
