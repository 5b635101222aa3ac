"""`aevolve dead-letters` on a real broker and a real log, without services."""

from __future__ import annotations

import json
import logging
import re
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from eventstore.effect import Append
from schemas.base import canonical_json
from schemas.envelope import topic
from services.console.commands import dead_letters
from services.runtime.kafka.broker import DEAD_LETTER_TOPIC
from services.runtime.kafka.reader import read_topics
from services.runtime.user_error import UserError
from tests.brokers import broker
from tests.conftest import PASSWORDS

pytestmark = pytest.mark.usefixtures("settings")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    with broker(tmp_path_factory.mktemp("broker")) as its_broker:
        yield its_broker.address


@pytest.fixture
def settings(database, kafka, monkeypatch):
    monkeypatch.setenv("AEVOLVE_POSTGRES", database)
    monkeypatch.setenv("AEVOLVE_PASSWORD", PASSWORDS["console"])
    monkeypatch.setenv("AEVOLVE_KAFKA", kafka)
    yield
    logging.getLogger("aiokafka").setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
async def event(stores, started):
    store = await stores("console")
    (envelope,) = await store.append([Append("small", "small", started, expected=0)])
    return envelope


@pytest.fixture
def bury(kafka, capsys):
    """Writes a dead letter as a service does; its position as `list` says it."""

    async def letter(headers, body, error):
        mark = uuid4().hex
        reason = {"x-service": "policy", "x-topic": topic("CampaignStarted"), "x-error": error, "x-message": mark}
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            encoded = [(name, value.encode()) for name, value in (headers | reason).items()]
            await producer.send_and_wait(DEAD_LETTER_TOPIC, body, key=b"small", headers=encoded)
        await dead_letters.list_letters(None)
        (line,) = [line for line in capsys.readouterr().out.splitlines() if mark in line]
        return line

    return letter


async def test_without_letters_there_is_nothing_to_list_and_no_topic_is_made(kafka, capsys):
    if await read_topics(kafka, {DEAD_LETTER_TOPIC}):
        pytest.skip("this broker holds letters of others")
    for _ in range(2):
        await dead_letters.list_letters(None)
        assert "no dead letters" in capsys.readouterr().err


async def test_a_letter_is_listed_and_shown_and_cannot_steer_the_terminal(event, bury, capsys):
    line = await bury(event.headers(), b"\x1b[31mnot\njson\xff", "JSONDecodeError")
    position, *words = line.split()
    assert re.fullmatch(r"\d+:\d+", position)
    assert words[2:6] == ["aevolve.CampaignStarted", "CampaignStarted", str(event.id), "policy"]
    assert "JSONDecodeError" in line
    await dead_letters.show(position, None)
    shown = capsys.readouterr().out
    assert "ce_subject: small\n" in shown
    assert shown.endswith("\n\n\N{REPLACEMENT CHARACTER}[31mnot json\N{REPLACEMENT CHARACTER}\n")


async def test_a_retried_letter_is_published_again_as_the_log_holds_it(event, kafka, bury, stores, capsys):
    position = (await bury(event.headers(), b'{"damaged": true}', "ValidationError")).split()[0]
    head = await (await stores("console")).head()
    await dead_letters.retry(position, None)
    assert f"CampaignStarted {event.id} is on aevolve.CampaignStarted again" in capsys.readouterr().out
    headers = [(name, value.encode()) for name, value in event.headers().items()]
    (again,) = [m for m in await read_topics(kafka, {topic(event.type)}) if set(headers) <= set(m.headers)]
    assert again.key == b"small"
    assert json.loads(again.value) == json.loads(canonical_json(event.data))
    assert await (await stores("console")).head() == head


@pytest.mark.parametrize(
    "stranger", [{"ce_id": str(uuid4())}, {"ce_id": "none"}, {}], ids=["forged", "wrong", "without"]
)
async def test_what_is_not_in_the_log_is_refused(event, kafka, bury, stranger):
    headers = {name: value for name, value in event.headers().items() if name != "ce_id"} | stranger
    position = (await bury(headers, canonical_json(event.data).encode(), "UnknownEvent")).split()[0]
    published = len(await read_topics(kafka, {topic(event.type)}))
    with pytest.raises(UserError, match=rf"position: {position}; its event .* is not in the log, so no service may"):
        await dead_letters.retry(position, None)
    assert len(await read_topics(kafka, {topic(event.type)})) == published


@pytest.mark.parametrize("command", [dead_letters.show, dead_letters.retry])
async def test_an_unknown_position_is_told(command):
    with pytest.raises(UserError, match=r"position: '9:99999' is no dead letter; `aevolve dead-letters list`"):
        await command("9:99999", None)
