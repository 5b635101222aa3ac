"""Old events are read by new code and new events by old code: today's models against the schemas of every release.

`released/<version>` holds the schemas that this release changed or added, and is never edited. `released/initial` holds
those of logs written before 0.1.0 was tagged. With a release, copy the changed files of `schemas/json` to a new folder.
"""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from schemas import registry
from schemas.base import Name, canonical_json
from tests.contract.compatible import Break, breaks
from tests.contract.instances import instances

HERE = Path(__file__).parent
RELEASES = ("initial", "0.1.0", "0.2.0", "0.3.0")
CHANGED = {
    (release, path.stem): json.loads(path.read_text())
    for release in RELEASES
    for path in sorted((HERE / "released" / release).glob("*.json"))
}
"""(release, schema) -> what this release changed: the schemas of a release are these and the unchanged ones before."""
RELEASED = {schema: content for (_, schema), content in CHANGED.items()}
"""Schemas of the last release."""


def event(schema: str) -> tuple[str, int]:
    """Type and version of the event that a schema describes."""
    name, _, version = schema.rpartition(".v")
    return name, int(version)


CURRENT = [(release, schema) for release, schema in CHANGED if event(schema)[1] == registry.VERSIONS[event(schema)[0]]]
"""Released schemas of the versions that today's writers write."""

NAMES = tuple(
    f"{place}{field}"
    for place, fields in {
        "campaign.": ("constitution.search", "recipe.adapter", "recipe.method"),
        "policy.standing.": ("adapter", "method"),
        "recipe.": ("adapter", "method"),
    }.items()
    for field in fields
)
"""Fields that were a choice up to 0.3.0 and take any name since: installed packages add methods, adapter forms and
search policies. A release that lacks a name refuses the event that bears it, which is what it should do."""

DRAWS = settings(
    max_examples=20,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],  # a failure is told as it was drawn: making a whole campaign smaller takes minutes
    suppress_health_check=list(HealthCheck),
)


def test_every_released_event_is_still_known():
    assert {event(schema)[0] for schema in RELEASED} <= registry.EVENTS.keys(), (
        "an event type was removed: old logs hold it; restore it"
    )


def test_every_release_has_its_schemas():
    version = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text())["project"]["version"]
    changed = {release for release, _ in CHANGED}
    assert {path.name for path in (HERE / "released").iterdir()} == changed
    assert set(RELEASES) - changed == {"0.2.0"}, "0.2.0 alone changed no schema"
    assert version in RELEASES, f"copy the files of schemas/json that {version} changed to tests/contract/released"


def test_every_event_of_the_last_release_is_compared():
    of_release = {f"{name}.v{version}" for name, version in registry.VERSIONS.items()}
    since = {"CampaignStarted.v3", "DataFailed.v1"}
    assert of_release - RELEASED.keys() == since, "copy the new events of a release to `released`, and empty `since`"


@pytest.mark.parametrize(("release", "schema"), CURRENT)
def test_a_version_that_was_released_changes_only_additively(release, schema):
    name, _ = event(schema)
    found = [str(one) for one in _breaks(name, CHANGED[release, schema], registry.json_schema(name))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("release", "schema"), CURRENT)
def test_the_gate_finds_a_renamed_field_in_every_schema(release, schema):
    name, _ = event(schema)
    today = registry.json_schema(name)
    renamed = next(iter(CHANGED[release, schema]["properties"]))
    today["properties"]["renamed"] = today["properties"].pop(renamed)
    found = _breaks(name, CHANGED[release, schema], today)
    assert [(one.path, one.change) for one in found] == [(renamed, "the field is gone")]


@pytest.mark.parametrize("name", list(registry.EVENTS))
def test_every_older_version_has_an_upcaster(name):
    missing = without_upcaster(name)
    assert not missing, f"{name}: no upcaster from version {missing}; register UPCASTERS[{name!r}, {missing[0]}]"


def test_a_missing_upcaster_would_be_found(monkeypatch):
    monkeypatch.setitem(registry.VERSIONS, "CampaignPaused", 3)
    monkeypatch.setitem(registry.UPCASTERS, ("CampaignPaused", 1), lambda data: data)
    assert without_upcaster("CampaignPaused") == [2]


@pytest.mark.parametrize(("release", "schema"), list(CHANGED))
@DRAWS
@given(data=st.data())
def test_whatever_a_release_may_have_written_is_read(release, schema, data):
    payload = data.draw(instances(CHANGED[release, schema]))
    name, version = event(schema)
    written = _parsed(name, version, {**payload, "of_a_later_release": 1})
    if written is not None:
        left_out = getattr(registry.EVENTS[name], "LATER", ())  # where they hold their default
        assert written.keys() >= payload.keys() - set(left_out)


@pytest.mark.parametrize(("release", "schema"), CURRENT)
@DRAWS
@given(data=st.data())
def test_whatever_todays_models_write_is_read_by_every_release(release, schema, data):
    name, version = event(schema)
    payload = data.draw(instances(registry.json_schema(name)))
    written = _parsed(name, version, payload)
    if written is not None:
        assert [path for path in _refused(written, CHANGED[release, schema]) if path not in NAMES] == []


@pytest.mark.parametrize("name", ["sft", "grpo", "lora", "full", "qlora", "trust", "dev_greedy", "random"])
def test_every_choice_of_earlier_releases_is_a_name_today(name):
    assert TypeAdapter(Name).validate_python(name) == name


@pytest.mark.parametrize("path", sorted((HERE / "golden").glob("*.json")), ids=lambda p: p.stem)
def test_golden_events_fit_the_schema_of_their_release(path):
    if path.stem in RELEASED:
        assert _refused(json.loads(path.read_text()), RELEASED[path.stem]) == []


def test_the_check_of_new_events_would_find_a_new_choice():
    golden = json.loads((HERE / "golden" / "ScoresReported.v1.json").read_text())
    assert _refused({**golden, "kind": "guess", "later": 1}, RELEASED["ScoresReported.v1"]) == ["kind"]


def _breaks(name: str, released: dict[str, Any], today: dict[str, Any]) -> list[Break]:
    """What an additive change would not do, apart from choices that became names."""
    return [one for one in breaks(name, released, today) if one.path not in NAMES]


def _parsed(name: str, version: int, payload: dict[str, Any]) -> dict[str, Any] | None:
    """A payload as today's model writes it; None if it breaks a rule that no schema can express."""
    try:
        written: dict[str, Any] = json.loads(canonical_json(registry.parse(name, version, payload)))
    except ValidationError as error:
        # A part that breaks such a rule is missing in its list, which may then be too short as well.
        if "value_error" not in {detail["type"] for detail in error.errors()}:
            raise
        return None
    return written


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
