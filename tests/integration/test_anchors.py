"""A superuser who writes the whole log anew, or cuts it off, is found by what a service has signed meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from eventstore.effect import Append
from eventstore.integrity.anchors import make_key, read_key
from eventstore.integrity.chain import EMPTY, next_hash, read_rows
from eventstore.integrity.log_import import import_log
from eventstore.store import EventStore
from schemas.advisor import AdvisorFailed
from services.console.anchors import AnchorSources
from services.console.commands import chain
from services.runtime.kafka.broker import ANCHOR_TOPIC, ANCHOR_TOPIC_CONFIG
from services.runtime.kafka.reader import read_topics
from services.runtime.user_error import UserError
from tests.brokers import broker
from tests.cluster import Cluster
from tests.conftest import PASSWORDS, create_database
from tests.processes import until
from tests.typed import there

CUT = 9
"""Events of the log when the superuser is done with it, where he cuts it."""


def advice(number):
    return [Append("c", "c", AdvisorFailed(error="E", message=str(n))) for n in range(number)]


@pytest.fixture(scope="module")
async def signed(stores, database, tmp_path_factory):
    """A cluster with one service that has the key, and has signed the heads 5, 10 and 12."""
    folder = tmp_path_factory.mktemp("signed")
    make_key(folder / "anchor.key")
    files = {
        "AEVOLVE_ANCHOR_KEY_FILE": str(folder / "anchor.key"),
        "AEVOLVE_ANCHOR_FILE": str(folder / "anchors.jsonl"),
    }
    with broker(tmp_path_factory.mktemp("broker")) as its_broker:
        running = Cluster(folder, database, PASSWORDS, its_broker, **files, AEVOLVE_ANCHOR_SECONDS="0.2")
        policy = await stores("policy")
        running.start("oracle")
        for number in (5, 5):
            await policy.append(advice(number))
            head = await policy.head()
            until(lambda head=head: head in positions(running))
        running.kill("oracle", signal.SIGTERM)
        running.extra["AEVOLVE_ANCHOR_SECONDS"] = "1000"
        running.start("oracle")
        until(lambda: positions(running) == [5, 10, 10])
        while len(await read_topics(its_broker.address, {ANCHOR_TOPIC})) < 3:  # the file is written before the topic
            await asyncio.sleep(0.1)
        await policy.append(advice(2))
        running.kill("oracle", signal.SIGTERM)
        yield running


def positions(cluster):
    """Of the anchors in the file."""
    file = cluster.folder / "anchors.jsonl"
    return [json.loads(line)["position"] for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def told(signed, monkeypatch):
    """Asks an auditor's question: the options by the place of the anchors."""
    monkeypatch.setenv("AEVOLVE_KAFKA", signed.broker.address)
    monkeypatch.setenv("AEVOLVE_PASSWORD", PASSWORDS["console"])
    keys = (read_key(signed.folder / "anchor.key").public.hex(),)
    return {
        "nowhere": AnchorSources(),
        "file": AnchorSources(signed.folder / "anchors.jsonl", keys=keys),
        "topic": AnchorSources(kafka=True, keys=keys),
    }


@pytest.fixture
async def copy(signed, stores, postgres, migrated, request, monkeypatch):
    """The log in a database of this test's own; its superuser's session."""
    dsn = await create_database(postgres, f"copy_{abs(hash(request.node.name))}", migrated)
    await import_log(dsn, [row async for row in (await stores("policy")).rows()])
    monkeypatch.setenv("AEVOLVE_POSTGRES", dsn)
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "aevolve"})
    await connection.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await connection.execute("SET session_replication_role = replica")
    yield connection
    await connection.close()


async def rewrite(superuser, position):
    """Alter one event, and compute every later hash and the head anew."""
    await superuser.execute("UPDATE events SET source = 'forged' WHERE position = $1", position)
    hash_ = EMPTY.hash
    async for row in read_rows(superuser):
        hash_ = next_hash(hash_, row)
        await superuser.execute("UPDATE events SET hash = $2 WHERE position = $1", row.position, hash_)
    await superuser.execute("UPDATE log_head SET hash = $1", hash_)


async def cut(superuser, position):
    """Remove the events behind a position, and let the head be there."""
    await superuser.execute("DELETE FROM events WHERE position > $1", position)
    await superuser.execute(
        "UPDATE log_head SET position = $1, hash = (SELECT hash FROM events WHERE position = $1)", position
    )


async def test_the_service_signs_the_head_when_it_has_moved_and_once_more_as_it_ends(signed):
    assert positions(signed) == [5, 10, 10, 12]  # the second process began with the head that it found
    on_topic = await read_topics(signed.broker.address, {ANCHOR_TOPIC})
    assert [json.loads(message.value)["position"] for message in on_topic] == [5, 10, 10, 12]
    assert [int(message.key) for message in on_topic] == [5, 10, 10, 12]


@pytest.mark.broker("apache", "cluster", "foreign")  # the embedded one makes topics by itself
async def test_the_topic_has_one_partition_and_keeps_everything_for_ever(signed):
    admin = AIOKafkaAdminClient(bootstrap_servers=signed.broker.address)
    await admin.start()
    try:
        (topic,) = await admin.describe_topics([ANCHOR_TOPIC])
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, ANCHOR_TOPIC)])
    finally:
        await admin.close()
    configs = {name: value for name, value, *_ in answer.resources[0][4]}
    assert len(topic["partitions"]) == 1
    assert {name: configs[name] for name in ANCHOR_TOPIC_CONFIG} == ANCHOR_TOPIC_CONFIG
    assert configs["cleanup.policy"] == "compact"


@pytest.mark.parametrize("place", ["file", "topic"])
async def test_an_untouched_log_agrees_with_its_anchors(copy, told, place, capsys):
    assert await chain.verify_chain(None, None, told[place]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "anchors that agree: 3, the last at position 12"


@pytest.mark.parametrize("place", ["file", "topic"])
@pytest.mark.parametrize(
    ("crime", "position", "words"),
    [
        (
            rewrite,
            1,
            "broken at position 5: an anchor has another hash: the log was rewritten somewhere from position 1",
        ),
        (
            rewrite,
            7,
            "broken at position 10: an anchor has another hash: the log was rewritten somewhere from position 6",
        ),
        (rewrite, 12, "broken at position 12: an anchor has another hash"),
        (cut, CUT, f"broken at position {CUT + 1}: the event is missing, 12 events were recorded"),
        (cut, 11, "broken at position 12: the event is missing, 12 events were recorded"),
    ],
)
async def test_a_superusers_perfect_crime_is_found_by_the_anchors_alone(
    copy, told, place, crime, position, words, capsys
):
    await crime(copy, position)
    assert await chain.verify_chain(None, None, told["nowhere"]) == 0
    capsys.readouterr()
    assert await chain.verify_chain(None, None, told[place]) == 1
    assert capsys.readouterr().out.startswith(words)


async def test_a_rewritten_export_is_neither_verified_nor_imported(copy, told, postgres, migrated, tmp_path, capsys):
    await rewrite(copy, 3)
    await chain.export(tmp_path / "log.jsonl", None)
    assert await chain.verify_chain(None, tmp_path / "log.jsonl", told["file"]) == 1
    assert capsys.readouterr().out.startswith("broken at position 5: an anchor has another hash")
    target = await create_database(postgres, "target_of_forgery", migrated)
    with pytest.raises(UserError, match=r"position 5: an anchor has another hash.*nothing was imported"):
        await chain.import_file(tmp_path / "log.jsonl", target, told["file"])


async def test_forged_unsigned_and_foreign_anchors_are_told_and_hide_nothing(copy, told, tmp_path, capsys):
    genuine = [json.loads(line) for line in told["file"].file.read_text().splitlines()]
    make_key(tmp_path / "foreign")
    foreign = AnchorSources(tmp_path / "anchors.jsonl", sign=tmp_path / "foreign")
    assert await chain.verify_chain(None, None, foreign) == 0
    forged = {**genuine[0], "hash": "00" * 32}
    unsigned = {name: genuine[1][name] for name in ("position", "hash", "time")}
    with there(foreign.file).open("a") as file:
        file.writelines(f"{json.dumps(anchor)}\n" for anchor in (forged, unsigned, *genuine))
    capsys.readouterr()
    assert await chain.verify_chain(None, None, AnchorSources(foreign.file, keys=told["file"].keys)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "anchors that agree: 3, the last at position 12"
    assert re.fullmatch(r"anchors of key [0-9a-f]{16}: 1, not compared; .*", lines[2])
    assert "line 2: position 5: the anchor is forged" in lines[3]
    assert "line 3: position 10: the anchor is not signed" in lines[4]
    await rewrite(copy, 3)
    assert await chain.verify_chain(None, None, AnchorSources(foreign.file, keys=told["file"].keys)) == 1
    assert capsys.readouterr().out.startswith("broken at position 5: an anchor has another hash")


async def test_what_others_write_on_the_topic_is_told_and_hides_nothing(copy, told, signed, capsys):
    later = Append("c", "c", AdvisorFailed(error="E", message="m"))
    async with await EventStore.open(
        os.environ["AEVOLVE_POSTGRES"], service="policy", password=PASSWORDS["policy"]
    ) as s:
        await s.append([later])
    async with AIOKafkaProducer(bootstrap_servers=signed.broker.address) as producer:
        await producer.send_and_wait(ANCHOR_TOPIC, b"{}", key=b"%020d" % 5)
        await producer.send_and_wait(ANCHOR_TOPIC, None, key=b"%020d" % 10)
    assert await chain.verify_chain(None, None, told["topic"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("13 events, head ")
    assert lines[1] == "anchors that agree: 3, the last at position 12"
    assert [line.rpartition(": ")[2] for line in lines[2:]] == ["it is no anchor"] * 2
