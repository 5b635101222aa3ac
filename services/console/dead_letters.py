"""Dead letters: messages that a service could not handle, kept on Kafka with the error.

A retry publishes the event as the log holds it, never the letter's payload, which may be damaged or forged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from aiokafka.errors import KafkaError

from eventstore.store import EventStore
from schemas.envelope import Envelope
from services.console.kafka_messages import messages, unreachable
from services.runtime.kafka.broker import DEAD_LETTER_TOPIC, make_sender, publish
from services.runtime.settings import Settings
from services.runtime.user_error import UserError


@dataclass(frozen=True)
class Letter:
    """One message of the dead-letter topic."""

    position: str
    """`partition:offset` on that topic."""
    time: datetime
    """When the service gave up on it."""
    headers: dict[str, str]
    """Headers of the message, and `x-*` of the service."""
    body: str
    """The payload as received."""

    @classmethod
    def of(cls, record: Any) -> Self:
        """The letter in a Kafka record."""
        return cls(
            position=f"{record.partition}:{record.offset}",
            time=datetime.fromtimestamp(record.timestamp / 1000, UTC),
            headers={key: _printable(value) for key, value in record.headers},
            body=_printable(record.value or b""),
        )

    @property
    def event(self) -> UUID | None:
        """Event id in its headers; None without one."""
        try:
            return UUID(self.headers["ce_id"])
        except (KeyError, ValueError):
            return None

    def line(self) -> str:
        """Position, time, topic, type, id, service and error."""
        fields = (self.headers.get(name, "-") for name in ("x-topic", "ce_type", "ce_id", "x-service"))
        error = f"{self.headers.get('x-error', '-')}: {self.headers.get('x-message', '')}"
        return f"{self.position:8} {self.time.astimezone():%Y-%m-%d %H:%M:%S} {' '.join(fields)} {error:.160}"


def _printable(raw: bytes) -> str:
    """Text on one line without control characters: a letter may hold anything."""
    text = " ".join(raw.decode(errors="replace").splitlines())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


async def send_again(letter: Letter, store: EventStore, settings: Settings) -> Envelope:
    """Publish the event of a letter again, as the log holds it. Raises `UserError` if it does not."""
    event = await store.get(letter.event) if letter.event else None
    if event is None:
        raise UserError(
            f"position: {letter.position}; its event {letter.headers.get('ce_id', '(no ce_id)')} is not in the log, "
            "so no service may handle it; append such an event by its service or by `aevolve emit`"
        )
    try:
        async with make_sender(settings) as broker:
            await publish(broker, event)
    except (KafkaError, OSError) as error:
        raise unreachable(settings, error) from error
    return event


async def find(position: str, settings: Settings) -> Letter:
    """One letter by its position. Raises `UserError` if there is none."""
    for letter in await letters(settings):
        if letter.position == position:
            return letter
    raise UserError(f"position: {position!r} is no dead letter; `aevolve dead-letters list` lists them")


async def letters(settings: Settings) -> list[Letter]:
    """All of them, the oldest first. Raises `UserError` if the broker does not answer."""
    return [Letter.of(record) for record in await messages(settings, DEAD_LETTER_TOPIC)]
