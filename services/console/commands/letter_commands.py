"""The commands that look after dead letters: what the services could not handle, kept on Kafka with the error.

A letter is given to the services again as the log holds its event, never as the letter does: what is not in the log is
forged or foreign, and what is in the log may have been damaged on its way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import typer
from aiokafka.errors import KafkaError

from eventstore.store import EventStore
from schemas.envelope import Envelope, topic
from services.console.client import connected, read_settings
from services.console.kafka_messages import absent, messages
from services.runtime.kafka.broker import DEAD_LETTER_TOPIC, make_sender, publish
from services.runtime.settings import Settings
from services.runtime.user_error import UserError


@dataclass(frozen=True)
class Letter:
    """One message of the dead-letter topic."""

    position: str
    """Where it lies there, as `partition:offset`."""
    time: datetime
    """When it was given up."""
    headers: dict[str, str]
    """Those of the message, and `x-*` of the service that gave it up."""
    body: str
    """The payload as it came."""

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
        """Id of the event that it says to be; None where it says none."""
        try:
            return UUID(self.headers["ce_id"])
        except (KeyError, ValueError):
            return None

    def line(self) -> str:
        """Position, time, topic, type, id, service and error."""
        told = (self.headers.get(name, "-") for name in ("x-topic", "ce_type", "ce_id", "x-service"))
        error = f"{self.headers.get('x-error', '-')}: {self.headers.get('x-message', '')}"
        return f"{self.position:8} {self.time.astimezone():%Y-%m-%d %H:%M:%S} {' '.join(told)} {error:.160}"


def _printable(raw: bytes) -> str:
    """Text on one line that cannot steer a terminal: a letter may hold anything."""
    text = " ".join(raw.decode(errors="replace").splitlines())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


async def list_(folder: Path | None) -> None:
    """Print a line per letter, the oldest first."""
    found = await letters(read_settings(folder))
    for letter in found:
        typer.echo(letter.line())
    if not found:
        typer.echo("no dead letters", err=True)


async def show(position: str, folder: Path | None) -> None:
    """Print one letter: its headers, an empty line, its payload."""
    letter = await find(position, read_settings(folder))
    for name, value in sorted(letter.headers.items()):
        typer.echo(f"{name}: {value}")
    typer.echo(f"\n{letter.body}")


async def retry(position: str, folder: Path | None) -> None:
    """Publish the event of a letter again; the inbox keeps it from those that have handled it already."""
    settings = read_settings(folder)
    letter = await find(position, settings)
    async with connected(settings) as store:
        event = await send_again(letter, store, settings)
    typer.echo(f"{event.type} {event.id} is on {topic(event.type)} again")


async def send_again(letter: Letter, store: EventStore, settings: Settings) -> Envelope:
    """Publish the event of a letter again, as the log holds it. Raises `UserError` where the log does not."""
    event = await store.get(letter.event) if letter.event else None
    if event is None:
        raise UserError(
            f"position: {letter.position}; its event {letter.headers.get('ce_id', '(no ce_id)')} is not in the log, "
            "so no service may handle it; append such an event by its service or by `aevolve emit`"
        )
    await _send(event, settings)
    return event


async def find(position: str, settings: Settings) -> Letter:
    """One letter by its position. Raises `UserError` where there is none."""
    for letter in await letters(settings):
        if letter.position == position:
            return letter
    raise UserError(f"position: {position!r} is no dead letter; `aevolve dead-letters list` lists them")


async def letters(settings: Settings) -> list[Letter]:
    """All of them, the oldest first. Raises `UserError` where the broker does not answer."""
    return [Letter.of(record) for record in await messages(settings, DEAD_LETTER_TOPIC)]


async def _send(event: Envelope, settings: Settings) -> None:
    try:
        async with make_sender(settings) as broker:
            await publish(broker, event)
    except (KafkaError, OSError) as error:
        raise absent(settings, error) from error
