"""Five services, a broker, a real database: campaigns that end well whatever happens to the processes."""

import asyncio
import json
import signal
from collections import Counter
from contextlib import asynccontextmanager
from functools import partial
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from audit.projections import check
from eventstore.effect import Append
from eventstore.embedded.broker import EmbeddedBroker
from judgement.history import History
from schemas.base import canonical_json
from schemas.envelope import topic
from schemas.events import CampaignPaused, CampaignResumed, CampaignStopped
from schemas.recipe import Recipe
from services.runtime.kafka.broker import DEAD_LETTER_TOPIC, TOPICS
from services.runtime.kafka.reader import read_topics
from tests.brokers import broker
from tests.cluster import PARTITIONS, Cluster, log_of, until
from tests.conftest import PASSWORDS
from tests.processes import PATIENCE
from tests.told import told
from tests.typed import there
from tests.unit.loopworld import campaign


@pytest.fixture(scope="module")
async def cluster(database, tmp_path_factory):
    with broker(tmp_path_factory.mktemp("broker")) as its_broker:
        running = Cluster(tmp_path_factory.mktemp("cluster"), database, PASSWORDS, its_broker)
        running.start()
        yield running
        running.stop()


@pytest.fixture(scope="module")
async def console(cluster):
    store = await cluster.console()
    yield store
    await store.close()


@asynccontextmanager
async def admin(its_broker):
    client = AIOKafkaAdminClient(bootstrap_servers=its_broker.address)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


def finished(history):
    return history.finished is not None


async def test_a_campaign_runs_to_its_end_and_every_candidate_is_told_once(cluster, console):
    await cluster.begin(console, "whole", campaign(rounds=3))
    history = await until(console, "whole", finished)
    assert sorted(history.policies) == [1, 2, 3]
    assert sorted(history.assessments) == [1, 2, 3]
    assert [len(history.of_round(r)) for r in (1, 2, 3)] == [5, 5, 5]
    counts = Counter((e.type, e.subject) for e in await log_of(console, "whole"))
    assert all(n == 1 for (type_, _), n in counts.items() if type_ in {"CheckpointTrained", "RecipeProposed"})
    assert history.reserved("external") <= history.campaign.constitution.budget.external_queries
    assert {t.candidate for t in history.measured("final")} == {"base", there(history.finished).winner}


async def test_every_reaction_names_the_event_that_caused_it(cluster, console):
    ids = {e.id: e.type for e in await log_of(console, "whole")}
    causes = {(e.type, e.causationid and ids.get(e.causationid)) for e in await log_of(console, "whole")}
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


def has_trials(number: int, history: History) -> bool:
    return history.position >= 0 and len(history.trials) >= number


async def test_killing_any_service_in_the_middle_loses_and_doubles_nothing(cluster, console):
    await cluster.begin(console, "killed", campaign(rounds=3))
    for number, service in enumerate(("trainer", "oracle", "policy", "recipes", "data")):
        await until(console, "killed", partial(has_trials, 2 + number))
        cluster.kill(service)
        cluster.start(service)
    await until(console, "killed", finished)
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
    assert there(history.finished).winner == "base"


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


@pytest.mark.broker("apache", "cluster", "foreign")  # the embedded one makes topics by itself
async def test_every_topic_has_the_configured_partitions(cluster, console):
    """The broker would make an undeclared one by itself, with one partition (`tests.kafka.broker`)."""
    async with admin(cluster.broker) as client:
        partitions = {t["topic"]: len(t["partitions"]) for t in await client.describe_topics(list(TOPICS))}
    assert partitions == dict.fromkeys(TOPICS, PARTITIONS)


async def test_every_message_has_its_own_stream_as_its_key_and_each_key_one_partition(cluster, console):
    events = {str(e.id): e for e in await log_of(console, "whole")}
    published, places = set(), set()
    messages = await cluster.messages()
    for message in messages:
        if event := events.get(dict(message.headers)["ce_id"].decode()):
            assert message.key.decode() == event.subject
            assert message.value.decode() == canonical_json(event.data)
            published.add(event.sequence)
            places.add((message.topic, message.key, message.partition))
    # The cursor of a new broker opens where every service has been.
    assert published == {e.sequence for e in events.values() if e.sequence >= min(published)}
    assert len(places) == len({place[:2] for place in places})
    assert len({message.partition for message in messages}) > 1  # of all campaigns: few of one's may be left to publish


async def bury(cluster, letters):
    """Produce messages of `ScoresReported` and wait for their dead letters; the headers of these."""
    marks = [uuid4().hex for _ in letters]
    async with AIOKafkaProducer(bootstrap_servers=cluster.broker.address) as producer:
        for mark, (headers, body) in zip(marks, letters, strict=True):
            encoded = [(k, v if isinstance(v, bytes) else v.encode()) for k, v in {"mark": mark, **headers}.items()]
            await producer.send_and_wait(topic("ScoresReported"), body, key=b"forged", headers=encoded)
    found: dict[tuple[str | None, str], dict[str, str]] = {}
    async with asyncio.timeout(PATIENCE):
        while not found.keys() >= {(mark, service) for mark in marks for service in ("oracle", "policy")}:
            await asyncio.sleep(0.2)
            read = await read_topics(cluster.broker.address, {DEAD_LETTER_TOPIC})
            letters = [{k: v.decode() for k, v in letter.headers} for letter in read]
            found = {(letter.get("mark"), letter["x-service"]): letter for letter in letters}
    return [found[mark, "policy"] for mark in marks]


async def test_what_cannot_be_handled_goes_to_the_dead_letters_and_the_partition_moves_on(cluster, console):
    real = next(e for e in await log_of(console, "whole") if e.type == "ScoresReported")
    nameless = {name: value for name, value in real.headers().items() if name != "ce_id"}
    buried = await bury(cluster, [(nameless, b"{}"), (nameless | {"ce_id": "none"}, b"{}")])
    assert [letter["x-error"] for letter in buried] == ["KeyError", "ValueError"]
    await cluster.begin(console, "after", campaign(rounds=1))
    await until(console, "after", finished)


async def test_a_message_of_any_size_and_with_any_headers_becomes_a_letter_and_gets_no_reply(cluster, console):
    real = next(e for e in await log_of(console, "whole") if e.type == "ScoresReported").headers()
    odd = {**real, "ce_id": b"\xff\xfe", "reply_to": "aevolve.CampaignFinished", "correlation_id": b"\xff"}
    many = {**real, "ce_id": "none", **{f"h{n}": "x" * 3000 for n in range(40)}}
    buried = await bury(cluster, [(odd, b"{}"), (many, b"not json"), (real, b"x" * 1_000_000)])
    assert [letter["x-error"] for letter in buried] == ["ValueError", "ValueError", "ValueError"]
    assert buried[2]["x-body-bytes"] == "1000000"
    assert max(map(len, buried[1].values())) == 2000
    assert not [m for m in await cluster.messages() if m.topic == "aevolve.CampaignFinished" and m.value == b""]


async def test_forged_scores_go_to_the_dead_letters_and_change_nothing(cluster, console, owner):
    await cluster.begin(console, "forged", campaign(rounds=1))
    await until(console, "forged", lambda h: len(h.trials) > 1)
    real = next(
        e for e in await log_of(console, "after") if e.type == "ScoresReported" and e.data["candidate"] == "r1s1"
    )
    forged = real.model_copy(update={"id": uuid4(), "correlationid": "forged", "subject": "forged/r1s1"})
    (letter,) = await bury(cluster, [(forged.headers(), canonical_json(forged.data).encode())])
    assert letter["x-error"] == "UnknownEvent"
    await until(console, "forged", finished)
    assert await console.get(forged.id) is None
    assert not await owner.fetchval("SELECT count(*) FROM inbox WHERE event = $1", forged.id)
    assert told(await log_of(console, "forged")) == told(await log_of(console, "after"))


async def test_a_service_stops_on_sigterm_with_status_0_and_gives_its_lease_back(cluster, console):
    assert cluster.kill("trainer", signal.SIGTERM) == 0
    cluster.start("trainer")


async def test_the_projections_follow_from_the_log_after_all_this(cluster, console):
    assert (await check(console)).deviations == []


@pytest.mark.broker("embedded")  # which alone comes back as another one
async def test_a_new_broker_gets_the_log_again_and_the_campaign_goes_on(cluster, console):
    await cluster.begin(console, "moved", campaign(rounds=2))
    await until(console, "moved", lambda h: len(h.trials) > 1)
    cluster.stop()
    with EmbeddedBroker() as another:
        cluster.broker = another
        cluster.start()
        await until(console, "moved", finished)
        cluster.stop()


@pytest.mark.broker("apache")  # keeps its log, and is ours to restart
async def test_a_restarted_broker_keeps_its_log_and_the_campaign_goes_on_with_the_same_services(cluster, console):
    await cluster.begin(console, "restarted", campaign(rounds=2))
    await until(console, "restarted", lambda h: any(t.checkpoint for t in h.trials.values()))  # all services are up
    held, address = await cluster.messages(), cluster.broker.address
    await asyncio.to_thread(cluster.broker.stop)
    await asyncio.to_thread(cluster.broker.start)
    assert cluster.broker.address == address
    await until(console, "restarted", finished)
    places = {(m.topic, m.partition, m.offset): m.value for m in await cluster.messages()}
    assert all(places[m.topic, m.partition, m.offset] == m.value for m in held)
    assert len(places) > len(held)
    cluster.stop()


async def test_the_pages_answer(database, tmp_path):
    with broker(tmp_path / "broker") as its_broker:
        cluster = Cluster(tmp_path, database, PASSWORDS, its_broker, AEVOLVE_PORT="18431")
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
