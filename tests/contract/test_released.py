"""Old events are read by new code and new events by old code: today's models against the schemas of the last release.

`released/` holds the schemas as they were released, and is never edited. With a release, copy `schemas/json` over it.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from schemas import registry
from schemas.base import canonical_json
from tests.contract.compatible import breaks
from tests.contract.instances import instances

HERE = Path(__file__).parent
RELEASED = {path.stem: json.loads(path.read_text()) for path in sorted((HERE / "released").glob("*.json"))}
CURRENT = {name: RELEASED[f"{name}.v{v}"] for name, v in registry.VERSIONS.items() if f"{name}.v{v}" in RELEASED}
"""Released schemas of the versions that today's writers write."""

DRAWS = settings(
    max_examples=20,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],  # a failure is told as it was drawn: making a whole campaign smaller takes minutes
    suppress_health_check=list(HealthCheck),
)


def test_every_released_event_is_still_known():
    names = {name.rpartition(".v")[0] for name in RELEASED}
    assert names <= registry.EVENTS.keys(), "an event type was removed: old logs hold it; restore it"


@pytest.mark.parametrize("name", list(CURRENT))
def test_a_version_that_was_released_changes_only_additively(name):
    found = [str(one) for one in breaks(name, CURRENT[name], registry.json_schema(name))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", list(registry.EVENTS))
def test_every_older_version_has_an_upcaster(name):
    missing = without_upcaster(name)
    assert not missing, f"{name}: no upcaster from version {missing}; register UPCASTERS[{name!r}, {missing[0]}]"


def test_a_missing_upcaster_would_be_found(monkeypatch):
    monkeypatch.setitem(registry.VERSIONS, "CampaignPaused", 3)
    monkeypatch.setitem(registry.UPCASTERS, ("CampaignPaused", 1), lambda data: data)
    assert without_upcaster("CampaignPaused") == [2]


@pytest.mark.parametrize("name", list(CURRENT))
@DRAWS
@given(data=st.data())
def test_whatever_the_last_release_may_have_written_is_read(name, data):
    payload = data.draw(instances(CURRENT[name]))
    written = _parsed(name, {**payload, "of_a_later_release": 1})
    if written is not None:
        assert written.keys() >= payload.keys()


@pytest.mark.parametrize("name", list(CURRENT))
@DRAWS
@given(data=st.data())
def test_whatever_todays_models_write_is_read_by_the_last_release(name, data):
    payload = data.draw(instances(registry.json_schema(name)))
    written = _parsed(name, payload)
    if written is not None:
        assert _refused(written, CURRENT[name]) == []


@pytest.mark.parametrize("path", sorted((HERE / "golden").glob("*.json")), ids=lambda p: p.stem)
def test_golden_events_fit_the_schema_of_their_release(path):
    if path.stem in RELEASED:
        assert _refused(json.loads(path.read_text()), RELEASED[path.stem]) == []


def test_the_check_of_new_events_would_find_a_new_choice():
    golden = json.loads((HERE / "golden" / "ScoresReported.v1.json").read_text())
    assert _refused({**golden, "kind": "guess", "later": 1}, CURRENT["ScoresReported"]) == ["kind"]


def _parsed(name: str, payload: dict[str, Any]) -> dict[str, Any] | None:
    """A payload as today's model writes it; None where it breaks a rule that no schema can say."""
    try:
        return json.loads(canonical_json(registry.parse(name, registry.VERSIONS[name], payload)))
    except ValidationError as error:
        # A part that breaks such a rule is missing in its list, which may then be too short as well.
        if "value_error" not in {detail["type"] for detail in error.errors()}:
            raise
        return None


def _refused(payload: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """Where a payload does not fit a schema, for a reader that ignores the keys it does not know."""
    found = Draft202012Validator(_tolerant(schema)).iter_errors(payload)
    return sorted(".".join(map(str, error.absolute_path)) for error in found)


def _tolerant(node: Any) -> Any:
    """A schema as readers apply it."""
    if isinstance(node, dict):
        return {key: _tolerant(value) for key, value in node.items() if (key, value) != ("additionalProperties", False)}
    return [_tolerant(value) for value in node] if isinstance(node, list) else node


def without_upcaster(name: str) -> list[int]:
    """Versions of an event below today's that cannot be brought up."""
    return [v for v in range(1, registry.VERSIONS[name]) if (name, v) not in registry.UPCASTERS]
