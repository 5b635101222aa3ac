"""Every projection follows from the log: after a finished campaign, in the middle of one, and not after tampering."""

import asyncio
import json
import shutil
from typing import Any

import pytest

from audit.projections import check
from eventstore.effect import Append
from eventstore.store import EventStore
from schemas.events import CampaignResumed, TrainingFailed
from schemas.scores import Cost
from services.console.anchors import AnchorSources
from services.console.commands import audit, chain
from tests.brokers import broker
from tests.cluster import Cluster, until
from tests.conftest import PASSWORDS, create_database
from tests.unit.loopworld import campaign


@pytest.fixture(scope="module")
async def console(stores):
    return await stores("console")


@pytest.fixture(scope="module")
async def during(console, database, tmp_path_factory):
    """What the comparison found again and again while two campaigns ran; at the end they are over."""
    folder = tmp_path_factory.mktemp("cluster")
    found: list[Any] = []
    with broker(tmp_path_factory.mktemp("broker")) as its_broker:
        cluster = Cluster(folder, database, PASSWORDS, its_broker)
        cluster.start()
        running = asyncio.create_task(_compare_always(console, found))
        try:
            await cluster.begin(console, "a", campaign(rounds=2))
            await cluster.begin(console, "b", campaign(rounds=1, seed=1))
            for name in ("a", "b"):
                await until(console, name, lambda history: history.finished is not None)
            await asyncio.sleep(2)  # checkpoints follow
        finally:
            running.cancel()
            cluster.stop()
    return found


async def _compare_always(console, found):
    while True:
        found.append((await check(console)).deviations)
        await asyncio.sleep(0.5)


@pytest.fixture
async def tampered(owner, during):
    """Do what only a superuser can, and undo it after the test."""
    transactions = []

    async def tamper(*statements):
        await owner.execute("SET session_replication_role = replica")
        for table in ("work", "inbox", "checkpoints", "log_head"):
            await owner.execute(f"CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}")
        transactions.append(True)
        for statement in statements:
            assert (await owner.execute(statement)).endswith("1"), statement

    yield tamper
    for table in ("work", "inbox", "checkpoints", "log_head") if transactions else ():
        await owner.execute(f"TRUNCATE {table}")
        await owner.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM kept_{table}")


async def test_a_running_campaign_raises_no_false_alarm(during):
    assert len(during) > 5
    assert [deviations for deviations in during if deviations] == []


async def test_the_projections_of_finished_campaigns_follow_from_the_log(console, during):
    found = await check(console)
    assert found.deviations == []
    assert found.by_hand == []
    assert found.rows["work"] > 20
    assert found.rows["inbox"] > 40
    assert found.rows["checkpoints"] == 5


ONE_JOB = "(SELECT id FROM work WHERE queue = '{}' AND campaign = 'a' ORDER BY id LIMIT 1)"
TRAIN, SCORE, DATA = (ONE_JOB.format(queue) for queue in ("train", "score", "data"))
HANDLED = "(SELECT event FROM inbox WHERE consumer = 'trainer' LIMIT 1)"
MANIPULATIONS = {
    "a job is deleted": (f"DELETE FROM work WHERE id = {TRAIN}", "work", "row"),
    "a measurement is deleted": (f"DELETE FROM work WHERE id = {SCORE}", "work", "row"),
    "a snapshot's job is deleted": (f"DELETE FROM work WHERE id = {DATA}", "work", "row"),
    "a job is made up": (
        "INSERT INTO work (queue, key, campaign, payload, priority, attempts) VALUES ('train', 'x', 'a', '{}', 0, 1)",
        "work",
        "row",
    ),
    "a job of no campaign is made up": (
        "INSERT INTO work (queue, key, campaign, payload, priority, attempts) VALUES ('score', 'x', 'z', '{}', 0, 1)",
        "work",
        "row",
    ),
    "a job's end is changed": (f"UPDATE work SET state = 'failed' WHERE id = {TRAIN}", "work", "state"),
    "a measurement is opened again": (f"UPDATE work SET state = 'queued' WHERE id = {SCORE}", "work", "state"),
    "a job's tries are changed": (f"UPDATE work SET attempt = 9 WHERE id = {TRAIN}", "work", "attempt"),
    "a job's limit is changed": (f"UPDATE work SET attempts = 99 WHERE id = {SCORE}", "work", "attempts"),
    "a job's deadline is changed": (f"UPDATE work SET deadline = NULL WHERE id = {TRAIN}", "work", "deadline"),
    "a job is preferred": (f"UPDATE work SET priority = 7 WHERE id = {TRAIN}", "work", "priority"),
    "a job is given to another campaign": (f"UPDATE work SET campaign = 'b' WHERE id = {TRAIN}", "work", "campaign"),
    "a job's cause is changed": (
        f"UPDATE work SET cause = (SELECT min(id::text)::uuid FROM events WHERE campaign = 'b') WHERE id = {TRAIN}",
        "work",
        "cause",
    ),
    "a job's payload is changed": (
        f"UPDATE work SET payload = jsonb_set(payload::jsonb, '{{proposed,recipe,lr}}', '0.0001') WHERE id = {TRAIN}",
        "work",
        "payload.proposed.recipe.lr",
    ),
    "a part of a job's payload is removed": (
        f"UPDATE work SET payload = payload::jsonb #- '{{campaign,seed}}' || '{{\"round\": 4}}' WHERE id = {SCORE}",
        "work",
        "payload.round",
    ),
    "the ground of a snapshot is changed": (
        f"UPDATE work SET payload = jsonb_set(payload::jsonb, '{{basis,position}}', '1') WHERE id = {DATA}",
        "work",
        "payload.basis.position",
    ),
    "a handled event is forgotten": (
        f"DELETE FROM inbox WHERE consumer = 'trainer' AND event = {HANDLED}",
        "inbox",
        "row",
    ),
    "an event that a service never handles is in its inbox": (
        "INSERT INTO inbox (consumer, event) SELECT 'trainer', id FROM events WHERE position = 1",
        "inbox",
        "row",
    ),
    "an event that is not in the log is in an inbox": (
        "INSERT INTO inbox (consumer, event) VALUES ('trainer', gen_random_uuid())",
        "inbox",
        "row",
    ),
    "a checkpoint is moved beyond the log": (
        "UPDATE checkpoints SET position = 100000 WHERE consumer = 'policy'",
        "checkpoints",
        "position",
    ),
    "the head is moved": ("UPDATE log_head SET position = position - 1", "log_head", "position"),
    "the head's hash is changed": ("UPDATE log_head SET hash = sha256('x')", "log_head", "hash"),
    "the head is deleted": ("DELETE FROM log_head", "log_head", "position"),
}


@pytest.mark.parametrize("name", list(MANIPULATIONS))
async def test_a_manipulated_projection_is_found_and_named(name, console, tampered):
    statement, projection, field = MANIPULATIONS[name]
    await tampered(statement)
    found = (await check(console)).deviations
    assert {deviation.projection for deviation in found} == {projection}
    assert field in {deviation.field for deviation in found}


async def test_a_job_that_an_older_release_queued_without_a_later_field_is_no_deviation(console, tampered):
    await tampered(
        f"UPDATE work SET payload = payload::jsonb #- '{{proposed,by}}' WHERE id = {TRAIN}",
        f"UPDATE work SET payload = payload::jsonb #- '{{basis,rules}}' WHERE id = {DATA}",
    )
    assert (await check(console)).deviations == []


async def test_a_checkpoint_beyond_an_unhandled_event_is_found(console, during, tampered):
    """The services no longer run: nobody handles what is appended now."""
    resumed = CampaignResumed(by="test", reason="after the end")
    (unhandled,) = await console.append([Append("a", "a", resumed)])
    assert (await check(console)).deviations == []
    await tampered(f"UPDATE checkpoints SET position = {unhandled.sequence} WHERE consumer = 'data'")
    (found,) = (await check(console)).deviations
    assert (found.projection, found.row) == ("inbox", f"data: CampaignResumed at position {unhandled.sequence}")


async def test_an_imported_log_misses_no_projection(
    console, during, postgres, migrated, tmp_path, database, monkeypatch
):
    monkeypatch.setenv("AEVOLVE_POSTGRES", database)
    monkeypatch.setenv("AEVOLVE_PASSWORD", PASSWORDS["console"])
    await chain.export(tmp_path / "log.jsonl", None)
    other = await create_database(postgres, "imported_projections", migrated)
    await chain.import_file(tmp_path / "log.jsonl", other, AnchorSources())
    async with await EventStore.open(other, service="console", password=PASSWORDS["console"]) as store:
        found = await check(store)
    assert found.deviations == []
    assert found.rows == {"log_head": 1, "inbox": 0, "checkpoints": 0, "work": 0}


async def test_jobs_of_a_campaign_with_emitted_events_are_not_compared(console, stores, started):
    test = await stores("console")
    failed = TrainingFailed(candidate="base", attempt=1, error="E", message="m", terminal=True, cost=Cost())
    await test.append([Append("t", "t", started), Append("t", "t/base", failed)])
    found = await check(console)
    assert (found.deviations, found.by_hand) == ([], ["t"])


async def test_replay_shows_deviations_row_by_row_and_exits_with_1(
    console, database, monkeypatch, capsys, tampered, during
):
    monkeypatch.setenv("AEVOLVE_POSTGRES", database)
    monkeypatch.setenv("AEVOLVE_PASSWORD", PASSWORDS["console"])
    assert await audit.replay([], None, None, "b", as_json=False) == 0
    assert "identical  work: " in capsys.readouterr().out
    await tampered(f"UPDATE work SET state = 'failed' WHERE id = {TRAIN}")
    assert await audit.replay([], None, None, "b", as_json=False) == 1
    said = capsys.readouterr().out
    assert "DIFFERENT  work: " in said
    assert "state: live failed, by the log done" in said
    assert await audit.replay([], None, None, "b", as_json=True) == 1
    (deviation,) = json.loads(capsys.readouterr().out)["projections"]["deviations"]
    assert (deviation["field"], deviation["live"], deviation["log"]) == ("state", "failed", "done")


async def test_an_erased_artifact_is_shown_and_breaks_neither_the_chain_nor_a_decision(
    console, database, monkeypatch, capsys, during
):
    monkeypatch.setenv("AEVOLVE_POSTGRES", database)
    monkeypatch.setenv("AEVOLVE_PASSWORD", PASSWORDS["console"])

    async def adapters():
        assert await audit.audit("latest", None, None, "a", as_json=True) == 0
        named = json.loads(capsys.readouterr().out)["artifacts"]
        return [artifact for artifact in named if artifact["kind"] == "adapter"]

    (adapter,) = await adapters()
    assert adapter["state"] == "present"
    shutil.rmtree(adapter["uri"])
    assert await adapters() == [{**adapter, "state": "erased"}]
    assert await chain.verify_chain(None, None, AnchorSources()) == 0
    assert await audit.replay([], None, None, "a", as_json=False) == 0
