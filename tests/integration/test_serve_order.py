"""The order in which a service comes up: what it publishes needs a producer, whatever FastStream is still doing."""

import asyncio
import importlib
import signal

from faststream.kafka import KafkaBroker

from eventstore.effect import Append
from schemas.envelope import topic
from services.runtime.jobs.runner import JobRunner
from services.runtime.kafka.reader import read_topics
from services.runtime.main import serve
from services.runtime.settings import Settings
from tests.brokers import EMBEDDED, broker
from tests.conftest import PASSWORDS
from tests.processes import PATIENCE


async def test_the_relay_publishes_while_the_subscriber_still_starts(database, stores, started, tmp_path, monkeypatch):
    await (await stores("console")).append([Append("early", "early", started, expected=0)])
    monkeypatch.setattr(KafkaBroker, "start", lambda self: asyncio.Event().wait())
    policy = importlib.import_module("services.policy.app").SERVICE
    with broker(tmp_path) as its_broker:
        settings = Settings(
            postgres=database,
            password=PASSWORDS["policy"],
            kafka=its_broker.address,
            embedded=EMBEDDED,
            catch_up_seconds=60,
        )
        serving = asyncio.create_task(serve(policy, settings, JobRunner(())))
        try:
            async with asyncio.timeout(PATIENCE):
                while not await read_topics(its_broker.address, {topic("CampaignStarted")}):
                    assert not serving.done()
                    await asyncio.sleep(0.2)
        finally:
            serving.cancel()
            await asyncio.wait([serving])
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().remove_signal_handler(number)
    assert serving.cancelled()
