"""Reads topics from the beginning to their current end, without a consumer group, so no offsets move."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaTimeoutError

from services.runtime.kafka import foreign_batches  # noqa: F401 - bounds what consumers read

TIMEOUT_SECONDS = 10
"""Limit for an answer of the broker, and for the next messages."""


async def read_topics(kafka: str, names: Collection[str], **options: Any) -> list[Any]:
    """The messages (aiokafka's `ConsumerRecord`) of the topics, by time; `options` as `client_options` gives them.

    Raises `KafkaError`.
    """
    options |= {"bootstrap_servers": kafka, "request_timeout_ms": 1000 * TIMEOUT_SECONDS}
    partitions = await _partitions(names, options)
    if not partitions:
        return []
    consumer = AIOKafkaConsumer(enable_auto_commit=False, **options)
    try:
        await consumer.start()
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        return sorted(await _to_the_end(consumer, partitions), key=lambda record: record.timestamp)
    finally:
        await consumer.stop()


async def _partitions(names: Collection[str], options: dict[str, Any]) -> list[TopicPartition]:
    """Partitions of the topics that exist. All topics are listed, because a query by name would create a topic."""
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        topics = await admin.describe_topics()
    finally:
        await admin.close()
    return [TopicPartition(t["topic"], p["partition"]) for t in topics if t["topic"] in names for p in t["partitions"]]


async def _to_the_end(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> list[Any]:
    ends, records = await consumer.end_offsets(partitions), []
    while behind := [p for p in partitions if await consumer.position(p) < ends[p]]:
        batches = await consumer.getmany(*behind, timeout_ms=1000 * TIMEOUT_SECONDS)
        if not batches:
            raise KafkaTimeoutError(f"no message within {TIMEOUT_SECONDS} s")
        for batch in batches.values():
            records += batch
    return records
