"""An event changes only by an additive field or by a new version: the committed files are the promise."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from audit.difference import completed
from schemas import registry
from schemas.base import canonical_json, digest
from schemas.envelope import Envelope
from schemas.events import CampaignPaused
from schemas.recipe import Recipe, differences
from schemas.registry import SERVICES, WRITERS
from tests.typed import instance

GOLDEN = Path(__file__).parent / "golden"


def test_every_schema_is_committed_as_the_models_are():
    for path, text in registry.files().items():
        assert path.exists(), f"{path.name} is missing; run `make schemas` and commit it"
        assert path.read_text() == text, f"{path.name} is out of date; run `make schemas` and look at the difference"


def test_no_schema_is_left_over():
    versions = {f"{name}.v{v}.json" for name, last in registry.VERSIONS.items() for v in range(1, last + 1)}
    assert {path.name for path in registry.FOLDER.glob("*.json")} <= versions


@pytest.mark.parametrize("name", list(registry.EVENTS))
def test_every_field_is_documented(name):
    schema = registry.json_schema(name)
    for model in (schema, *schema.get("$defs", {}).values()):
        for field, about in model.get("properties", {}).items():
            assert about.get("description"), f"{name}: {model['title']}.{field} has no docstring"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda p: p.stem)
def test_golden_events_of_every_version_are_read_by_todays_models(path):
    name, _, version = path.stem.partition(".v")
    data = json.loads(path.read_text())
    written = json.loads(canonical_json(registry.parse(name, int(version), data)))
    assert completed(registry.upcast(name, int(version), data), written) == written, (
        "a recorded value is read otherwise"
    )


def test_every_version_of_every_event_type_has_a_golden_fixture():
    assert {p.stem for p in GOLDEN.glob("*.json")} == {
        f"{name}.v{version}" for name, last in registry.VERSIONS.items() for version in range(1, last + 1)
    }


def test_readers_ignore_keys_of_newer_writers_and_writers_refuse_unknown_keys():
    said: dict[str, Any] = {"by": "me", "reason": "lunch", "later": 1}
    assert instance(CampaignPaused, registry.parse("CampaignPaused", 1, said)).by == "me"
    with pytest.raises(ValidationError, match="later"):
        CampaignPaused(**said)


def test_every_writer_is_a_service():
    assert {w for writers in WRITERS.values() for w in writers} <= set(SERVICES)


def test_canonical_bytes_do_not_depend_on_the_order_of_keys():
    assert canonical_json({"b": 1.0, "a": "é"}) == '{"a":"é","b":1.0}'
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})


def test_an_envelope_survives_kafka_headers():
    envelope = Envelope(
        id="0192f0c1-2c4b-7000-8000-000000000001",
        source="aevolve/console",
        type="CampaignPaused",
        subject="demo",
        time="2026-01-01T00:00:00+00:00",
        sequence=7,
        stream_version=2,
        correlationid="demo",
        causationid="0192f0c1-2c4b-7000-8000-000000000000",
        data={"by": "me", "reason": "lunch"},
    )
    assert Envelope.from_headers(envelope.headers(), envelope.data) == envelope


def test_a_change_is_named_by_its_knob_and_value():
    standing = Recipe()
    candidate = standing.replace("difficulty", (0.4, 0.4, 0.2)).replace("upsample.bits", 2.0)
    changes = differences(standing, candidate, ("difficulty", "upsample.bits", "lr"))
    assert [c.name for c in changes] == ["difficulty=0.4/0.4/0.2", "upsample.bits=2"]


def test_a_recipe_outside_its_bounds_is_refused():
    with pytest.raises(ValidationError, match="lr"):
        Recipe().replace("lr", 7.0)
