"""Three nodes of Apache Kafka: what a service declares lies on all of them, and any one may die."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from schemas.events import CampaignStarted
from services.runtime.kafka.broker import TOPICS, declare_topics, make_broker, publish
from services.runtime.kafka.preflight import check_connection
from services.runtime.kafka.reader import read_topics
from services.runtime.settings import Settings
from tests.brokers import apache_cluster
from tests.integration.test_kafka_settings import envelope, ignore
from tests.kafka.cluster import NODES, KafkaCluster

pytestmark = pytest.mark.broker("apache", "cluster")

POLICY = importlib.import_module("services.policy.app").SERVICE


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    with apache_cluster(Path(tmp_path_factory.mktemp("cluster"))) as running:
        yield running


async def test_what_a_service_declares_has_as_many_copies_as_the_brokers_keep(cluster) -> None:
    settings = Settings(kafka=cluster.address, partitions=2)
    await declare_topics(settings)
    described = await known(cluster.address)
    assert described.keys() == set(TOPICS)
    assert {len(partition["replicas"]) for partitions in described.values() for partition in partitions} == {len(NODES)}


async def known(address: str) -> dict[str, list[Any]]:
    """The topics' partitions, once every one is known to the node that answers: nodes learn of new topics by and by."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        while True:
            described = {t["topic"]: t["partitions"] for t in await admin.describe_topics(list(TOPICS))}
            if all(described.values()):
                return described
            await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def test_each_node_may_die_while_events_are_published(cluster, started: CampaignStarted) -> None:
    settings = Settings(kafka=cluster.address, partitions=2)
    await declare_topics(settings)
    events = [envelope(number, started) for number in NODES]
    async with make_broker(POLICY, settings, ignore) as client:
        for node, event in zip(NODES, events, strict=True):
            cluster.kill(node)
            await check_connection(settings)  # as a service does that is started now
            await publish(client, event)
            cluster.start(node)
    read = await read_topics(cluster.address, TOPICS)
    assert {dict(message.headers)["ce_id"].decode() for message in read} == {str(event.id) for event in events}
