"""Five services, the embedded broker, a real database: campaigns that end well whatever happens to the processes."""

import asyncio
import json
import signal
from collections import Counter

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from eventstore.effect import Append
from eventstore.embedded.broker import EmbeddedBroker
from schemas.base import canonical_json
from schemas.envelope import topic
from schemas.recipe import Recipe
from schemas.steering import CampaignPaused, CampaignResumed, CampaignStopped
from tests.cluster import Cluster, log_of, until
from tests.conftest import PASSWORDS
from tests.unit.loopworld import campaign

TIMES_AND_IDS = {"basis", "uri", "receipt", "worker", "seconds", "device_seconds", "cost"}


@pytest.fixture(scope="module")
async def cluster(database, tmp_path_factory):
    with EmbeddedBroker() as broker:
        running = Cluster(tmp_path_factory.mktemp("cluster"), database, PASSWORDS, broker)
        running.start()
        yield running
        running.stop()


@pytest.fixture(scope="module")
async def console(cluster):
    store = await cluster.console()
    yield store
    await store.close()


def finished(history):
    return history.finished is not None


def told(envelopes):
    """What a log says, without times and ids and without the order between streams."""

    def plain(value):
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k not in TIMES_AND_IDS}
        return [plain(v) for v in value] if isinstance(value, list) else value

    streams = {}
    for envelope in envelopes:
        stream = envelope.subject.partition("/")[2]
        streams.setdefault(stream, []).append((envelope.type, canonical_json(plain(envelope.data))))
    return streams


async def test_a_campaign_runs_to_its_end_and_every_candidate_is_told_once(cluster, console):
    await cluster.begin(console, "whole", campaign(rounds=3))
    history = await until(console, "whole", finished)
    assert sorted(history.policies) == [1, 2, 3]
    assert sorted(history.assessments) == [1, 2, 3]
    assert [len(history.of_round(r)) for r in (1, 2, 3)] == [5, 5, 5]
    counts = Counter((e.type, e.subject) for e in await log_of(console, "whole"))
    assert all(n == 1 for (type_, _), n in counts.items() if type_ in {"CheckpointTrained", "RecipeProposed"})
    assert history.reserved("external") <= history.campaign.constitution.budget.external_queries
    assert {t.candidate for t in history.measured("final")} == {"base", history.finished.winner}


async def test_every_reaction_names_the_event_that_caused_it(cluster, console):
    ids = {e.id: e.type for e in await log_of(console, "whole")}
    causes = {(e.type, ids.get(e.causationid)) for e in await log_of(console, "whole")}
    assert ("PolicyUpdated", "DriftAssessed") in causes
    assert ("DataBatchReady", "PolicyUpdated") in causes
    assert ("RecipeProposed", "DataBatchReady") in causes
    assert ("CheckpointTrained", "RecipeProposed") in causes


async def test_the_same_seed_gives_the_same_recipes_scores_and_decisions(cluster, console):
    await cluster.begin(console, "again", campaign(rounds=3))
    await until(console, "again", finished)
    first, second = told(await log_of(console, "whole")), told(await log_of(console, "again"))
    assert first == second
    await cluster.begin(console, "other", campaign(rounds=1, seed=1))
    await until(console, "other", finished)
    assert told(await log_of(console, "other"))["r1s1"] != first["r1s1"]


async def test_killing_any_service_in_the_middle_loses_and_doubles_nothing(cluster, console):
    await cluster.begin(console, "killed", campaign(rounds=3))
    for number, service in enumerate(("trainer", "oracle", "policy", "recipes", "data")):
        await until(console, "killed", lambda h, n=number: h.position >= 0 and len(h.trials) > 1 + n)
        cluster.kill(service)
        cluster.start(service)
    await until(console, "killed", finished, seconds=90)
    once = await log_of(console, "killed")
    counts = Counter((e.type, e.subject) for e in once)
    assert all(n == 1 for (type_, _), n in counts.items() if type_ == "CheckpointTrained")
    without_starts = {
        stream: [said for said in events if said[0] != "TrainingStarted"] for stream, events in told(once).items()
    }
    undisturbed = told(await log_of(console, "whole"))
    for stream, events in without_starts.items():
        expected = [said for said in undisturbed[stream] if said[0] != "TrainingStarted"]
        assert [type_ for type_, _ in events] == [type_ for type_, _ in expected], stream


async def test_a_target_module_that_does_not_exist_fails_its_candidates_and_the_loop_goes_on(cluster, console):
    odd = campaign(rounds=1).model_copy(update={"recipe": Recipe(target_modules=("no_such_layer",))})
    await cluster.begin(console, "odd", odd)
    history = await until(console, "odd", finished)
    assert {t.failed for t in history.of_round(1)} == {"TargetModuleMissing"}
    assert history.finished.winner == "base"


async def test_a_paused_campaign_waits_and_a_resumed_one_goes_on(cluster, console):
    await cluster.begin(console, "paused", campaign(rounds=1))
    await console.append([Append("paused", "paused", CampaignPaused(by="test", reason="lunch"))])
    await asyncio.sleep(2)
    history = await until(console, "paused", lambda h: h.paused)
    assert history.finished is None
    await console.append([Append("paused", "paused", CampaignResumed(by="test", reason="done"))])
    await until(console, "paused", finished)


async def test_a_stopped_campaign_decides_nothing_more(cluster, console):
    await cluster.begin(console, "stopped", campaign(rounds=4))
    await until(console, "stopped", lambda h: h.round >= 1)
    await console.append([Append("stopped", "stopped", CampaignStopped(by="test", reason="enough"))])
    await asyncio.sleep(1)
    rounds = (await until(console, "stopped", lambda h: h.stopped)).round
    await asyncio.sleep(2)
    assert (await until(console, "stopped", lambda h: h.stopped)).round == rounds


async def test_what_cannot_be_handled_goes_to_the_dead_letters_and_the_partition_moves_on(cluster, console):
    real = next(e for e in await log_of(console, "whole") if e.type == "ScoresReported")
    forged = {**real.headers(), "ce_id": "0192f0c1-2c4b-7000-8000-00000000ffff"}
    letters = {
        b"not json": real.headers(),
        b'{"candidate": 7}': real.headers(),
        canonical_json(real.data).encode(): forged,
    }
    async with AIOKafkaProducer(bootstrap_servers=cluster.broker.address) as producer:
        for body, headers in letters.items():
            encoded = [(k, v.encode()) for k, v in headers.items()]
            await producer.send_and_wait(topic("ScoresReported"), body, key=b"forged", headers=encoded)
    errors = set()
    consumer = AIOKafkaConsumer(
        "aevolve.dead-letters",
        bootstrap_servers=cluster.broker.address,
        auto_offset_reset="earliest",
        group_id="test",
        session_timeout_ms=4000,
    )
    async with consumer, asyncio.timeout(30):
        while not {"JSONDecodeError", "ValidationError", "UnknownEvent"} <= errors:
            headers = dict((await consumer.getone()).headers)
            errors.add(headers["x-error"].decode())
    await cluster.begin(console, "after", campaign(rounds=1))
    await until(console, "after", finished)


async def test_a_service_stops_on_sigterm_with_status_0_and_gives_its_lease_back(cluster, console):
    assert cluster.kill("trainer", signal.SIGTERM) == 0
    cluster.start("trainer")


async def test_a_new_broker_gets_the_log_again_and_the_campaign_goes_on(cluster, console):
    await cluster.begin(console, "moved", campaign(rounds=2))
    await until(console, "moved", lambda h: len(h.trials) > 1)
    cluster.stop()
    with EmbeddedBroker() as broker:
        cluster.broker = broker
        cluster.start()
        await until(console, "moved", finished, seconds=90)
        cluster.stop()


async def test_the_pages_answer(database, tmp_path):
    with EmbeddedBroker() as broker:
        cluster = Cluster(tmp_path, database, PASSWORDS, broker, AEVOLVE_PORT="18431")
        cluster.start("recipes")
        try:
            assert (await _page("/health"))["healthy"] is True
            assert "RecipeProposed" in json.dumps(await _page("/docs.json"))
            assert "aevolve_checkpoint_position" in await _text("/metrics")
        finally:
            cluster.stop()


async def _page(path):
    return json.loads(await _text(path))


async def _text(path):
    for _ in range(300):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", 18431)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        if answer.startswith("HTTP/1.1 200"):
            return answer.partition("\r\n\r\n")[2]
        await asyncio.sleep(0.1)
    raise AssertionError(f"{path} did not answer")
