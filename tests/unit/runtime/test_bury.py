"""The letter about an event that no broker takes is short, and the relay goes on where the broker refuses it too."""

from __future__ import annotations

from typing import cast
from uuid import UUID

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError
from faststream.kafka import KafkaBroker

from schemas.envelope import Envelope
from services.runtime.kafka.broker import DEAD_LETTER_TOPIC, bury

LONG = "x" * 2_000_000
EVENT = Envelope(
    id=UUID(int=7),
    source=LONG,
    type="PolicyUpdated",
    subject=LONG,
    time="2026-01-01T00:00:00Z",
    sequence=3,
    stream_version=1,
    correlationid=LONG,
    traceparent=LONG,
    data={},
)


class Broker:
    """Takes a letter, or refuses it with an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.letters: list[tuple[str, bytes, bytes | None, dict[str, str]]] = []

    async def publish(self, body, *, topic, headers, key=None):
        if self.error:
            raise self.error
        self.letters.append((topic, body, key, headers))


async def test_a_letter_is_short_whatever_the_event_holds():
    broker = Broker()
    await bury(cast(KafkaBroker, broker), EVENT, MessageSizeTooLargeError(LONG))
    [(topic, body, key, headers)] = broker.letters
    assert topic == DEAD_LETTER_TOPIC
    assert (headers["ce_id"], headers["x-offset"]) == (str(EVENT.id), "log:3")
    assert len(body) + len(key or b"") + sum(len(name) + len(value) for name, value in headers.items()) < 10_000


async def test_a_letter_that_the_broker_refuses_too_is_logged_and_holds_up_nothing(caplog):
    await bury(cast(KafkaBroker, Broker(MessageSizeTooLargeError())), EVENT, MessageSizeTooLargeError())
    assert f"no dead letter for event {EVENT.id} at position 3" in caplog.text


async def test_a_broker_that_is_away_is_waited_for():
    with pytest.raises(KafkaConnectionError):
        await bury(cast(KafkaBroker, Broker(KafkaConnectionError())), EVENT, MessageSizeTooLargeError())
