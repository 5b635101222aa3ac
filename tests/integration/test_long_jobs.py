"""A message is done when its work is queued: nothing of Kafka depends on how long a job takes."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.envelope import topic
from tests.brokers import broker
from tests.cluster import Cluster, log_of, until
from tests.conftest import PASSWORDS
from tests.unit.loopworld import campaign

JOB_SECONDS = 8


@pytest.fixture
async def cluster(database, tmp_path):
    with broker(tmp_path / "broker") as its_broker:
        running = Cluster(tmp_path / "cluster", database, PASSWORDS, its_broker, STUB_SECONDS=str(JOB_SECONDS))
        running.start()
        yield running
        running.stop()


@asynccontextmanager
async def started(client):
    await client.start()
    try:
        yield client
    finally:
        await (client.stop() if hasattr(client, "stop") else client.close())


async def behind(address, group, name):
    """Messages of a topic that a group has not committed."""
    async with (
        started(AIOKafkaAdminClient(bootstrap_servers=address)) as admin,
        started(AIOKafkaConsumer(bootstrap_servers=address)) as consumer,
    ):
        partitions = [TopicPartition(name, p) for p in consumer.partitions_for_topic(name) or ()]
        committed = await admin.list_consumer_group_offsets(group, partitions=partitions)
        ends = await consumer.end_offsets(partitions)
    return sum(ends[p] - max(0, committed[p].offset) for p in partitions if ends[p])


async def test_the_offset_is_committed_while_the_job_still_runs(cluster):
    store = await cluster.console()
    try:
        await cluster.begin(store, "long", campaign(rounds=1))
        await until(store, "long", lambda h: any(trial.attempts for trial in h.trials.values()))
        async with asyncio.timeout(JOB_SECONDS - 2):
            while await behind(cluster.broker.address, "aevolve.trainer", topic("RecipeProposed")):
                await asyncio.sleep(0.2)
        types = {e.type for e in await log_of(store, "long")}
        assert "TrainingStarted" in types
        assert "CheckpointTrained" not in types
    finally:
        await store.close()
