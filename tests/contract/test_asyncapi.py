"""The committed AsyncAPI documents are those of the services, and say what really lies on Kafka."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from schemas.envelope import Envelope, topic
from schemas.registry import EVENTS, SERVICES, VERSIONS, WRITERS
from services.policy.app import SERVICE
from services.runtime.asyncapi import COMMITTED, files
from services.runtime.kafka.broker import make_broker
from services.runtime.main import make_app
from services.runtime.settings import Settings
from services.runtime.telemetry.http_server import Pulse

GOLDEN = Path(__file__).parent / "golden"
DOCUMENTS = {path.stem: json.loads(text) for path, text in files().items()}


def references(node):
    """Every `$ref` below a node."""
    if isinstance(node, dict):
        yield from ([node["$ref"]] if "$ref" in node else [])
        node = list(node.values())
    for below in node if isinstance(node, list) else ():
        yield from references(below)


def follow(document, reference):
    node = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_every_document_is_committed_as_the_services_are():
    for path, text in files().items():
        assert path.exists(), f"{path.name} is missing; run `make schemas` and commit it"
        assert path.read_text() == text, f"{path.name} is out of date; run `make schemas` and look at the difference"
    assert {path.stem for path in COMMITTED.glob("*")} == set(SERVICES) - {"console"}


@pytest.mark.parametrize("name", list(DOCUMENTS))
def test_a_document_has_what_the_specification_demands(name):
    document = DOCUMENTS[name]
    assert document["asyncapi"] == "3.0.0"
    assert document["info"].keys() >= {"title", "version"}
    for reference in references(document):
        assert follow(document, reference)
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = follow(document, operation["channel"]["$ref"])
        assert all(follow(document, m["$ref"]) in channel["messages"].values() for m in operation["messages"])
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", list(DOCUMENTS))
def test_a_service_sends_what_it_may_write_on_the_topics_of_the_events(name):
    document = DOCUMENTS[name]
    sent = {o["channel"]["$ref"] for o in document["operations"].values() if o["action"] == "send"}
    assert sent == {f"#/channels/{topic(model.__name__)}" for model, writers in WRITERS.items() if name in writers}
    assert all(channel["address"] == key for key, channel in document["channels"].items())
    assert all(message["summary"] == EVENTS[key].__doc__ for key, message in document["components"]["messages"].items())


WRITTEN = sorted(GOLDEN / f"{name}.v{version}.json" for name, version in VERSIONS.items())
"""What today's writers write; a document describes no older version."""


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_a_real_message_fits_its_channel(path):
    type_, _, version = path.stem.partition(".v")
    envelope = Envelope(
        id="0192f0c1-2c4b-7000-8000-000000000001",
        source="aevolve/console",
        type=type_,
        subject="demo",
        time="2026-01-01T00:00:00+00:00",
        version=int(version),
        sequence=7,
        stream_version=2,
        correlationid="demo",
        causationid="0192f0c1-2c4b-7000-8000-000000000000",
        data=json.loads(path.read_text()),
    )
    documents = [document for document in DOCUMENTS.values() if topic(type_) in document["channels"]]
    for document in documents:
        message = document["components"]["messages"][type_]
        valid(document, message["headers"], envelope.headers())
        valid(document, message["payload"], envelope.data)


def test_headers_of_another_event_do_not_fit():
    document = DOCUMENTS["policy"]
    headers = document["components"]["messages"]["PolicyUpdated"]["headers"]
    wrong = {"ce_type": "ScoresReported"}
    found = Draft202012Validator({**headers, "components": document["components"]}).iter_errors(wrong)
    assert {error.validator for error in found} == {"required", "const"}


def valid(document, schema, value):
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def test_documents_name_no_place():
    told = json.dumps(DOCUMENTS)
    assert "servers" not in told
    assert "localhost" not in told
    assert "127.0.0.1" not in told


async def ignore(_: Envelope) -> None:
    """No event comes."""


async def test_the_service_shows_its_committed_document():
    service = make_app(SERVICE, make_broker(SERVICE, Settings(), ignore), Pulse(1.0))
    assert json.loads(await page(service, "/docs.json")) == json.loads((COMMITTED / "policy.json").read_text())
    assert b"aevolve policy" in await page(service, "/docs")


async def page(service, path):
    """The body of a page, asked without a server."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "client": None}
    await service(scope, receive, send)
    assert sent[0]["status"] == 200
    return sent[1]["body"]
