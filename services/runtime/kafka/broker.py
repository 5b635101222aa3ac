"""Kafka as FastStream and aiokafka do it safely: the defaults lose messages, so every setting that matters is set here.

A message that can never be handled (it does not parse, or is not in the log) goes to the dead-letter topic with its
error, and the partition moves on. A database that is away is waited for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import NoError, TopicAlreadyExistsError, for_code
from faststream import AckPolicy, BaseMiddleware
from faststream.kafka import KafkaBroker
from faststream.kafka.prometheus import KafkaPrometheusMiddleware

from eventstore.store import DISCONNECTED
from schemas.base import canonical_json
from schemas.envelope import Envelope, topic
from schemas.registry import EVENTS, parse
from services.runtime.kafka.security import client_options, security
from services.runtime.service import Service
from services.runtime.settings import Settings
from services.runtime.telemetry.metrics import DEAD_LETTERS, REGISTRY

log = logging.getLogger(__name__)

QUIET = logging.getLogger("services.runtime.faststream")
QUIET.setLevel(logging.ERROR)
"""FastStream says a line per message, and its own warnings are settled in `make_broker`."""

DEAD_LETTER_TOPIC = "aevolve.dead-letters"
TOPICS = (*map(topic, EVENTS), DEAD_LETTER_TOPIC)
"""Every event, and what could not be handled."""

ANCHOR_TOPIC = "aevolve.anchors"
KEPT_FOR_EVER = {
    "cleanup.policy": "compact",
    "retention.ms": "-1",
    # Compaction never comes: no later message with the key of an earlier one makes that one disappear.
    "min.compaction.lag.ms": str(2**63 - 1),
    # The broker's clock: by a signer's, Kafka would refuse what comes an hour early.
    "message.timestamp.type": "LogAppendTime",
}
"""Of the anchors."""

FETCH_WAIT_MS = 50
"""How long a broker may hold a fetch that finds nothing. The embedded one always takes this time. aiokafka leaves a
partition out of its next fetch while its messages are being handled, and then waits so long for the others."""

Handle = Callable[[Envelope], Awaitable[None]]


def make_broker(service: Service, settings: Settings, handle: Handle) -> KafkaBroker:
    """A broker whose one subscriber wakes `handle` with each event that the service reacts to."""
    broker = KafkaBroker(
        settings.kafka.split(","),
        client_id=f"aevolve-{service.name}",
        security=security(settings),
        acks="all",
        # An idempotent producer never expires its batches: with the embedded broker dead, its process would ignore
        # SIGTERM. The inbox absorbs the doubles that the other kind may make.
        enable_idempotence=not settings.embedded,
        request_timeout_ms=5_000,
        graceful_timeout=5.0,
        allow_auto_create_topics=False,
        middlewares=(DeadLetters, KafkaPrometheusMiddleware(registry=REGISTRY, app_name=service.name)),
        description=service.name,
        # The decoder has done what FastStream would do in a thread with each message.
        apply_types=False,
        logger=QUIET,
    )
    _subscribe(broker, service, settings, handle)
    return broker


def make_sender(settings: Settings) -> KafkaBroker:
    """A broker that hears nothing, for a message now and then; its producer lives as long as its context."""
    address = settings.kafka.split(",")
    return KafkaBroker(address, acks="all", request_timeout_ms=5_000, security=security(settings), logger=QUIET)


async def declare_topics(settings: Settings) -> None:
    """Make every topic that is not there yet, with the configured partitions, before anything is read or written.

    FastStream would make only what it subscribes to, and the broker all others on first use, with one partition.
    """
    if settings.embedded:
        return  # it makes topics on first use and serves no create-topic call
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, **client_options(settings))
    await admin.start()
    try:
        absent = {*TOPICS, ANCHOR_TOPIC} - set(await admin.list_topics())
        made = await admin.create_topics([_new_topic(name, settings) for name in sorted(absent)])
    finally:
        await admin.close()
    for told in made.to_object()["topic_errors"]:
        error = for_code(told["error_code"])
        if error not in (NoError, TopicAlreadyExistsError):  # another service may have been quicker
            raise error(f"topic {told['topic']}: {told.get('error_message')}")


def _new_topic(name: str, settings: Settings) -> NewTopic:
    """A topic to make; the anchors' has one partition, so that they stay in their order.

    aiokafka lets the broker choose the copies only beside a list, here empty, of who keeps them.
    """
    anchors = name == ANCHOR_TOPIC
    return NewTopic(
        name,
        1 if anchors else settings.partitions,
        settings.replication,
        {} if settings.replication == -1 else None,
        KEPT_FOR_EVER if anchors else None,
    )


async def publish(broker: KafkaBroker, envelope: Envelope) -> None:
    """Send one event, keyed by its stream, as a CloudEvent in binary mode; returns when it is acknowledged."""
    await broker.publish(
        canonical_json(envelope.data).encode(),
        topic=topic(envelope.type),
        key=envelope.subject.encode(),
        headers=envelope.headers(),
        correlation_id=envelope.correlationid,
        # The database's clock. By its own, a process that is an hour ahead could publish nothing: Kafka refuses that.
        timestamp_ms=int(envelope.time.timestamp() * 1000),
    )


def _subscribe(broker: KafkaBroker, service: Service, settings: Settings, handle: Handle) -> None:
    subscriber = broker.subscriber(
        *map(topic, service.reactions),
        group_id=f"aevolve.{service.name}",
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.ACK,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        partition_assignment_strategy=(PatientAssignor if settings.embedded else RoundRobinPartitionAssignor,),
        # Below 4 s the embedded broker's first rebalance (3 s) would hang the group.
        session_timeout_ms=4_000 if settings.embedded else 10_000,
        heartbeat_interval_ms=500 if settings.embedded else 3_000,
        decoder=_decoder(service),
        title=service.name,
    )
    subscriber(_handler(handle))


def _handler(handle: Handle) -> Callable[[Envelope], Awaitable[None]]:
    async def on_event(envelope: Envelope) -> None:
        while True:
            try:
                return await handle(envelope)
            except DISCONNECTED as error:
                log.warning("waiting for the log: %s", error)
                await asyncio.sleep(1)

    return on_event


def _decoder(service: Service) -> Callable[[Any], Awaitable[Envelope]]:
    async def decode(message: Any) -> Envelope:
        """The event of a message. Raises what a dead letter is to say where it is none, or none of the service's."""
        if (type_ := message.headers.get("ce_type")) not in service.reactions:
            raise ValueError(f"ce_type: {type_!r} is not handled here; see schemas/json for the types")
        envelope = Envelope.from_headers(message.headers, json.loads(message.body))
        parse(envelope.type, envelope.version, envelope.data)
        return envelope

    return decode


class DeadLetters(BaseMiddleware):
    """Sends what cannot be handled to the dead-letter topic, with the error and the original headers."""

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        """Handle the message or bury it; the offset moves on either way."""
        try:
            return await call_next(msg)
        except Exception as error:
            log.exception("dead letter from %s at offset %s", msg.raw_message.topic, msg.raw_message.offset)
            await self._bury(msg, error)

    async def _bury(self, msg: Any, error: Exception) -> None:
        broker: KafkaBroker = self.context.get("broker")
        service = broker.specification.description
        reason = {
            "x-service": service or "",
            "x-topic": msg.raw_message.topic,
            "x-offset": f"{msg.raw_message.partition}:{msg.raw_message.offset}",
            "x-error": type(error).__name__,
            "x-message": str(error)[:2000],
        }
        headers = {key: str(value) for key, value in msg.headers.items()} | reason
        await broker.publish(msg.body, topic=DEAD_LETTER_TOPIC, key=msg.raw_message.key, headers=headers)
        DEAD_LETTERS.labels(service).inc()


class PatientAssignor(RoundRobinPartitionAssignor):  # type: ignore[misc]  # aiokafka is not typed
    """Round robin that waits before it answers.

    librdkafka's embedded broker requires a group's followers to sync before the leader, which aiokafka does not know.
    """

    @classmethod
    def assign(cls, cluster: Any, members: Any) -> Any:
        """Assign as round robin does, 250 ms later where the group has followers."""
        if len(members) > 1:
            time.sleep(0.25)
        return super().assign(cluster, members)
