"""Mutated Kafka messages: each is a letter or a wake-up, and leaves no more in the log than what it was made of."""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from aiokafka.structs import ConsumerRecord

from eventstore.effect import Append
from eventstore.errors import UnknownEvent
from schemas.base import canonical_json
from schemas.envelope import campaign_stream
from services.policy.app import SERVICE
from services.runtime.kafka import broker
from services.runtime.reactor import Reactor
from tests.conftest import Stores
from tests.unit.loopworld import campaign, started

COUNT = int(os.environ.get("AEVOLVE_FUZZ", "1000"))
SEED = int(os.environ.get("AEVOLVE_FUZZ_SEED", "16"))
PIECES = (b"", b"\xff", b"\0", b"{}", b"[", b"null", b"1e999", b"-1", b"9" * 400, b'{"a":' * 2000, b"\xe2\x80\xae")


@dataclass
class Parsed:
    """What FastStream makes of a record."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


async def parse_record(record: Any) -> Parsed:
    return Parsed(record.value or b"", {name: value.decode() for name, value in record.headers})


def record(headers: list[tuple[str, bytes]], value: bytes) -> ConsumerRecord:
    about = {"topic": "t", "partition": 0, "offset": 0, "timestamp": 0, "timestamp_type": 0, "checksum": None}
    sizes = {"serialized_key_size": 0, "serialized_value_size": len(value)}
    return ConsumerRecord(**about, **sizes, key=b"k", value=value, headers=tuple(headers))


def mutated(message: dict[str, bytes], body: bytes, chance: random.Random) -> tuple[list[tuple[str, bytes]], bytes]:
    headers = list(message.items())
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(headers)) if headers else 0
        match chance.randrange(6):
            case 0 if headers:
                headers[at] = headers[at][0], chance.choice(PIECES)
            case 1 if headers:
                del headers[at]
            case 2:
                headers.append((chance.choice(["ce_id", "ce_type", "ce_time", "reply_to", "x"]), chance.choice(PIECES)))
            case 3 if headers:
                name, value = headers[at]
                place = chance.randrange(len(value) + 1)
                headers[at] = name, value[:place] + chance.choice(PIECES) + value[place + chance.randrange(4) :]
            case 4:
                place = chance.randrange(len(body) + 1)
                body = body[:place] + chance.choice(PIECES) + body[place + chance.randrange(9) :]
            case _:
                body = chance.choice([*PIECES, body[: chance.randrange(len(body) + 1)], body * 2])
    return headers, body


async def test_no_mutated_message_changes_more_than_the_one_that_it_was(stores: Stores) -> None:
    """`AEVOLVE_FUZZ=10000` for more of them, `AEVOLVE_FUZZ_SEED` for others."""
    chance, console, policy = random.Random(SEED), await stores("console"), await stores("policy")
    begun = [
        (await console.append([Append(name, campaign_stream(name), started(campaign()), expected=0)]))[0]
        for name in ("one", "two")
    ]
    reactor, decode, handled = Reactor(SERVICE, policy), broker._decoder(SERVICE), 0
    known = {event.id for event in begun}
    for _ in range(COUNT):
        event = chance.choice(begun)
        forged = event.model_copy(
            update={"id": chance.choice([event.id, uuid4()]), "correlationid": chance.choice(["one", "two", "three"])}
        )
        headers = {name: value.encode() for name, value in forged.headers().items()}
        sent = record(*mutated(headers, canonical_json(forged.data).encode(), chance))
        message = await broker._parse(sent, parse_record)
        try:
            envelope = await decode(SimpleNamespace(headers=message.headers, body=message.body))
            await reactor.react(envelope)
        except (LookupError, ValueError, RecursionError, UnknownEvent):
            continue
        assert envelope.id in known
        handled += 1
    assert handled
    log = [event async for event in console.read()]
    undisturbed = await _undisturbed(stores, "one")
    for name in ("one", "two"):
        events = [(e.type, e.data | {"basis": None}) for e in log if e.correlationid == name]
        assert [type_ for type_, _ in events] in ([], [type_ for type_, _ in undisturbed][: len(events)])
    assert {event.correlationid for event in log} == {"one", "two"}
    await console.verify({})


async def _undisturbed(stores: Stores, name: str) -> list[tuple[str, Any]]:
    """What an unmutated start leads to in the same service."""
    console, policy = await stores("console"), await stores("policy")
    alone = f"{name}-alone"
    (event,) = await console.append([Append(alone, campaign_stream(alone), started(campaign()), expected=0)])
    await Reactor(SERVICE, policy).react(event)
    return [(e.type, json.loads(canonical_json(e.data))) async for e in console.read(campaign=alone)]
