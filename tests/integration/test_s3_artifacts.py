"""Campaigns whose artifacts lie behind a server of the S3 protocol, whatever happens to it and to the services."""

import hashlib
import time

import pytest

from audit.artifacts import artifacts
from services.runtime.storage import object_store
from tests.brokers import broker
from tests.cluster import Cluster, log_of, until
from tests.conftest import PASSWORDS
from tests.s3_server import Server
from tests.unit.loopworld import campaign

STORE = "s3://artifacts/runs"


@pytest.fixture(scope="module")
def server():
    running = Server()
    yield running
    running.down()


@pytest.fixture
def here(server, monkeypatch):
    """This process sees the store as the services do."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
async def cluster(database, server, tmp_path_factory):
    with broker(tmp_path_factory.mktemp("broker")) as its_broker:
        folder = tmp_path_factory.mktemp("cluster")
        running = Cluster(folder, database, PASSWORDS, its_broker, AEVOLVE_ARTIFACTS=STORE, **server.environment)
        yield running
        running.stop()


@pytest.fixture(scope="module")
async def console(cluster):
    store = await cluster.console()
    yield store
    await store.close()


def finished(history):
    return history.finished is not None


async def told(console, campaign_, type_):
    return [envelope.event for envelope in await log_of(console, campaign_) if envelope.type == type_]


async def test_a_campaign_runs_to_its_end_and_the_store_holds_all_that_it_names(cluster, console, server, here):
    cluster.start()
    await cluster.begin(console, "whole", campaign(rounds=2))
    await until(console, "whole", finished)
    named = artifacts(await log_of(console, "whole"))
    assert all(artifact.uri.startswith(STORE) for artifact in named)
    assert {artifact.state for artifact in named if artifact.kind != "snapshot"} == {"present"}
    for made in await told(console, "whole", "DataBatchReady"):
        assert hashlib.sha256(object_store.read(made.uri)).hexdigest() == made.snapshot
    assert not (cluster.folder / "artifacts").exists()


async def test_a_worker_killed_between_its_copy_and_its_word_leaves_nothing_that_the_log_names(
    cluster, console, server
):
    cluster.kill("trainer")
    cluster.start("trainer", STUB_LINGER="60")
    await cluster.begin(console, "killed", campaign(rounds=1))
    await until(console, "killed", lambda h: len(server.names("runs/adapters/killed/")) == 2)
    cluster.kill("trainer")
    (left,) = {name.rpartition("/")[0] for name in server.names("runs/adapters/killed/")}
    cluster.start("trainer")
    await until(console, "killed", finished)
    trained = {event.candidate: event.uri for event in await told(console, "killed", "CheckpointTrained")}
    assert f"s3://artifacts/{left}" not in trained.values()
    assert trained[left.split("/")[-2]].endswith("/2")
    assert len(trained) == len(await told(console, "killed", "CheckpointTrained"))


async def test_an_object_that_was_changed_is_not_measured(cluster, console, server, here):
    cluster.kill("oracle")
    await cluster.begin(console, "changed", campaign(rounds=1, seed=7))
    await until(console, "changed", lambda h: h.position > 0)
    cluster.start("oracle")
    await until(console, "changed", lambda h: "base" in h.trials and "dev" in h.trials["base"].scores)
    cluster.kill("oracle")
    await until(console, "changed", lambda h: any(t.checkpoint for t in h.of_round(1)))
    first, *_ = await told(console, "changed", "CheckpointTrained")
    object_store.write(f"{first.uri}/adapter_config.json", b"{}")
    cluster.start("oracle")
    await until(console, "changed", finished)
    failed = [
        event for event in await told(console, "changed", "EvaluationFailed") if event.candidate == first.candidate
    ]
    assert [(event.error, event.terminal) for event in failed] == [("AdapterChanged", True)]
    assert "train it again" in failed[0].message


async def test_a_store_that_is_away_for_a_while_fails_no_try(cluster, console, server):
    await cluster.begin(console, "away", campaign(rounds=2))
    await until(console, "away", lambda h: any(t.checkpoint for t in h.of_round(1)))
    server.down()
    time.sleep(5)
    server.up()
    await until(console, "away", finished)
    assert not [e for e in await log_of(console, "away") if e.type in ("TrainingFailed", "EvaluationFailed")]
    assert {event.attempt for event in await told(console, "away", "TrainingStarted")} == {1}


NO_BUCKET = {"AEVOLVE_ARTIFACTS": "s3://no-such-bucket"}, "s3://no-such-bucket; there is no such bucket; make it first"
NO_ANSWER = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://artifacts/runs; the store does not answer"


@pytest.mark.parametrize(
    ("service", "change", "words"), [("data", *NO_BUCKET), ("trainer", *NO_ANSWER), ("oracle", *NO_BUCKET)]
)
def test_a_service_that_cannot_reach_the_store_does_not_start(cluster, service, change, words):
    cluster.start(service, key="-lost", **change)
    assert cluster.processes.pop(f"{service}-lost").wait(90) == 2
    assert f"AEVOLVE_ARTIFACTS: {words}" in (cluster.folder / f"{service}-lost.log").read_text()
