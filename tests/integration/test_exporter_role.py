"""The exporter's role sees what its page needs, and can write nothing: anybody may reach that page."""

import asyncpg
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from eventstore.effect import Append, Effect, Work
from eventstore.migrate import provision
from eventstore.store import EventStore
from schemas.envelope import campaign_stream
from services.console.telemetry.exporter import ROLE, Watch
from tests.work_for_tests import started_event

PASSWORD = "secret of exporter"


@pytest.fixture
async def store(database):
    await provision(database, {ROLE: PASSWORD})
    opened = await EventStore.open(database, service=ROLE, password=PASSWORD)
    yield opened
    await opened.close()


@pytest.fixture
async def session(store):
    opened = await store.connect()
    yield opened
    await opened.close()


async def test_it_shows_campaigns_queues_and_the_chain(store, stores, started):
    console = await stores("console")
    (cause,) = await console.append([Append("small", campaign_stream("small"), started)])
    trainer = await stores("trainer")
    await trainer.handle("trainer", cause, Effect(work=(Work("train", "small/1", "small", {}),)))
    await trainer.advance("trainer", ["CampaignStarted"])
    watch = Watch(store)
    await watch.verify()
    await watch.read()
    registry = CollectorRegistry()
    registry.register(watch)
    page = generate_latest(registry).decode()
    assert 'aevolve_campaign_state{campaign="small",state="running"} 1.0' in page
    assert 'aevolve_queue_jobs{queue="train",state="queued"} 1.0' in page
    assert 'aevolve_consumer_lag_positions{consumer="trainer"} 0.0' in page
    assert "aevolve_chain_verified_position 1.0" in page
    assert "aevolve_chain_broken 0.0" in page


async def test_it_cannot_append(store):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await store.append([started_event("x", 1)])


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT payload FROM work",
        "UPDATE work SET state = 'done'",
        "DELETE FROM events",
        "UPDATE log_head SET position = 0",
        "UPDATE checkpoints SET position = 0",
        "INSERT INTO inbox VALUES ('x', gen_random_uuid())",
    ],
)
async def test_it_can_do_nothing_else(session, statement):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await session.execute(statement)
