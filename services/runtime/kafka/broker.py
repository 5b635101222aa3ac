"""The Kafka client of every service; the libraries' defaults lose messages, so each setting that matters is set here.

A message that can never be handled (it does not parse, or is not in the log) goes to the dead-letter topic with its
error, and the partition moves on. While the database is away, the consumer waits.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import MessageSizeTooLargeError, NoError, TopicAlreadyExistsError, for_code
from faststream import AckPolicy, BaseMiddleware
from faststream.kafka import KafkaBroker
from faststream.kafka.prometheus import KafkaPrometheusMiddleware

from eventstore.errors import MAX_EVENT_BYTES
from eventstore.store import DISCONNECTED
from schemas.base import canonical_json
from schemas.envelope import Envelope, topic
from schemas.registry import EVENTS
from services.runtime.kafka import foreign_batches  # noqa: F401 - bounds what consumers read
from services.runtime.kafka.security import client_options, security
from services.runtime.service import Service
from services.runtime.settings import Settings
from services.runtime.telemetry.metrics import DEAD_LETTERS, REGISTRY

log = logging.getLogger(__name__)

FASTSTREAM_LOG = logging.getLogger("services.runtime.faststream")
FASTSTREAM_LOG.setLevel(logging.ERROR)
"""FastStream logs a line per message; `make_broker` settles the causes of its warnings."""

DEAD_LETTER_TOPIC = "aevolve.dead-letters"
TOPICS = (*map(topic, EVENTS), DEAD_LETTER_TOPIC)
"""One topic per event type, and the dead letters."""

ANCHOR_TOPIC = "aevolve.anchors"
ANCHOR_TOPIC_CONFIG = {
    "cleanup.policy": "compact",
    "retention.ms": "-1",
    # Never compacted: a later message with the same key must not remove an earlier one.
    "min.compaction.lag.ms": str(2**63 - 1),
    # The broker's clock: Kafka would refuse a signer's time that is an hour ahead.
    "message.timestamp.type": "LogAppendTime",
}
"""Topic configuration of the anchors: they are kept for ever."""

FETCH_WAIT_MS = 50
"""How long a broker may hold an empty fetch; the embedded broker always does. aiokafka leaves a partition out of its
next fetch while its messages are being handled, and then waits this long for the other partitions."""

LONGEST_HEADER, MOST_HEADERS = 2_000, 30
"""Characters and number of headers that a dead letter keeps."""

Handle = Callable[[Envelope], Awaitable[object]]


def make_broker(service: Service, settings: Settings, handle: Handle) -> KafkaBroker:
    """A broker whose one subscriber wakes `handle` with each event that the service reacts to."""
    broker = KafkaBroker(
        settings.kafka.split(","),
        client_id=f"aevolve-{service.name}",
        security=security(settings),
        acks="all",
        # An idempotent producer never expires its batches: with a dead embedded broker its process would ignore
        # SIGTERM. The inbox absorbs the duplicates of the other kind.
        enable_idempotence=not settings.embedded,
        request_timeout_ms=5_000,
        graceful_timeout=5.0,
        allow_auto_create_topics=False,
        middlewares=(DeadLetters, KafkaPrometheusMiddleware(registry=REGISTRY, app_name=service.name)),
        description=service.name,
        # The decoder does what FastStream would do in a thread per message.
        apply_types=False,
        logger=FASTSTREAM_LOG,
    )
    _subscribe(broker, service, settings, handle)
    return broker


def make_sender(settings: Settings) -> KafkaBroker:
    """A broker without a subscriber, for occasional messages; its producer lives as long as its context."""
    address = settings.kafka.split(",")
    return KafkaBroker(
        address, acks="all", request_timeout_ms=5_000, security=security(settings), logger=FASTSTREAM_LOG
    )


async def declare_topics(settings: Settings) -> None:
    """Create the missing topics, with the configured partitions, before anything is read or written.

    FastStream would create only those it subscribes to, and the broker the others on first use with one partition.
    """
    if settings.embedded:
        return  # it creates topics on first use and has no create-topic call
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, **client_options(settings))
    await admin.start()
    try:
        absent = {*TOPICS, ANCHOR_TOPIC} - set(await admin.list_topics())
        response = await admin.create_topics([_new_topic(name, settings) for name in sorted(absent)])
    finally:
        await admin.close()
    for topic_error in response.to_object()["topic_errors"]:
        error = for_code(topic_error["error_code"])
        if error not in (NoError, TopicAlreadyExistsError):  # another service may have been faster
            raise error(f"topic {topic_error['topic']}: {topic_error.get('error_message')}")


def _new_topic(name: str, settings: Settings) -> NewTopic:
    """A topic to create; that of the anchors has one partition, so that they stay in order.

    aiokafka lets the broker choose the replication only with a replica assignment, here empty.
    """
    anchors = name == ANCHOR_TOPIC
    return NewTopic(
        name,
        1 if anchors else settings.partitions,
        settings.replication,
        {} if settings.replication == -1 else None,
        ANCHOR_TOPIC_CONFIG if anchors else None,
    )


async def publish(broker: KafkaBroker, envelope: Envelope) -> None:
    """Send one event, keyed by its stream, as a CloudEvent in binary mode; returns when it is acknowledged."""
    await broker.publish(
        canonical_json(envelope.data).encode(),
        topic=topic(envelope.type),
        key=envelope.subject.encode(),
        headers=envelope.headers(),
        correlation_id=envelope.correlationid,
        # The database's clock: Kafka refuses messages from a process whose own clock is an hour ahead.
        timestamp_ms=int(envelope.time.timestamp() * 1000),
    )


async def bury(broker: KafkaBroker, envelope: Envelope, error: Exception) -> None:
    """Send a letter about an event that cannot be published; the event stays in the log.

    Only attributes of fixed length go with it: the broker may have refused the others. A letter that it refuses too is
    logged, because the relay must go on with the next event; services find this one by their catch-up.
    """
    headers = {
        "ce_id": str(envelope.id),
        "ce_type": envelope.type[:LONGEST_HEADER],
        "ce_sequence": f"{envelope.sequence:020d}",
        "x-service": "relay",
        "x-topic": topic(envelope.type)[:LONGEST_HEADER],
        "x-offset": f"log:{envelope.sequence}",
        "x-error": type(error).__name__,
        "x-message": str(error)[:LONGEST_HEADER],
    }
    try:
        await broker.publish(b"{}", topic=DEAD_LETTER_TOPIC, headers=headers)
    except MessageSizeTooLargeError:
        log.exception("no dead letter for event %s at position %s of the log", envelope.id, envelope.sequence)
    else:
        DEAD_LETTERS.labels("relay").inc()


def _subscribe(broker: KafkaBroker, service: Service, settings: Settings, handle: Handle) -> None:
    subscriber = broker.subscriber(
        *map(topic, service.reactions),
        group_id=f"aevolve.{service.name}",
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.ACK,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        partition_assignment_strategy=(DelayedAssignor if settings.embedded else RoundRobinPartitionAssignor,),
        # Below 4 s the embedded broker's first rebalance (3 s) would hang the group.
        session_timeout_ms=4_000 if settings.embedded else 10_000,
        heartbeat_interval_ms=500 if settings.embedded else 3_000,
        parser=_parse,
        decoder=_decoder(service),
        no_reply=True,  # else a header `reply_to` names a topic to publish to
        title=service.name,
    )
    subscriber(_handler(handle))


def _handler(handle: Handle) -> Callable[[Envelope], Awaitable[None]]:
    async def on_event(envelope: Envelope) -> None:
        while True:
            try:
                await handle(envelope)
            except DISCONNECTED as error:
                log.warning("waiting for the log: %s", error)
                await asyncio.sleep(1)
            else:
                return

    return on_event


async def _parse(record: Any, parse_record: Callable[[Any], Awaitable[Any]]) -> Any:
    """FastStream's message of a record. Its own parser fails at header values that are not UTF-8, without a letter."""
    headers = tuple((name, (value or b"").decode(errors="replace").encode()) for name, value in record.headers)
    return await parse_record(dataclasses.replace(record, headers=headers))


def _decoder(service: Service) -> Callable[[Any], Awaitable[Envelope]]:
    async def decode(message: Any) -> Envelope:
        """The event of a message, without its data. Raises, for a dead letter, if it is none that the service handles.

        The body is not parsed: the data is read from the log, and a small message can hold much to parse.
        """
        if (type_ := message.headers.get("ce_type")) not in service.reactions:
            raise ValueError(f"ce_type: {type_!r} is not handled here; see schemas/json for the types")
        if (size := len(message.body)) > MAX_EVENT_BYTES:
            raise ValueError(f"body: {size:,} bytes; an event holds at most {MAX_EVENT_BYTES:,}")
        return Envelope.from_headers(message.headers, {})

    return decode


class DeadLetters(BaseMiddleware):
    """Sends messages that cannot be handled to the dead-letter topic, with the error and the original headers."""

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        """Handle the message or send it to the dead letters; the offset moves on either way."""
        try:
            return await call_next(msg)
        except Exception as error:
            log.exception("dead letter from %s at offset %s", msg.raw_message.topic, msg.raw_message.offset)
            await self._send_dead_letter(msg, error)

    async def _send_dead_letter(self, msg: Any, error: Exception) -> None:
        broker: KafkaBroker = self.context.get("broker")
        service = broker.specification.description
        reason = {
            "x-service": service or "",
            "x-topic": msg.raw_message.topic,
            "x-offset": f"{msg.raw_message.partition}:{msg.raw_message.offset}",
            "x-error": type(error).__name__,
            "x-message": str(error)[:2000],
        }
        first_headers = islice(msg.headers.items(), MOST_HEADERS)
        headers = {name: str(value)[:LONGEST_HEADER] for name, value in first_headers} | reason
        body, key = msg.body, msg.raw_message.key
        if len(body) + len(key or b"") > MAX_EVENT_BYTES:  # with our headers no broker might take it
            headers["x-body-bytes"], body, key = str(len(body)), b"", None
        await broker.publish(body, topic=DEAD_LETTER_TOPIC, key=key, headers=headers)
        DEAD_LETTERS.labels(service).inc()


class DelayedAssignor(RoundRobinPartitionAssignor):  # type: ignore[misc]  # aiokafka is not typed
    """Round robin with a delay, for the embedded broker.

    librdkafka's embedded broker requires a group's followers to sync before the leader, which aiokafka does not know.
    """

    @classmethod
    def assign(cls, cluster: Any, members: Any) -> Any:
        """Assign as round robin does, after 250 ms if the group has followers."""
        if len(members) > 1:
            time.sleep(0.25)
        return super().assign(cluster, members)
