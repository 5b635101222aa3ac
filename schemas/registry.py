"""Names and versions of the event types, and their committed JSON Schemas.

A change of an event is either additive or a new version with an upcaster; `tests/contract` fails on any other.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from schemas import advisor
from schemas import events as e
from schemas.base import Frozen

SERVICES = ("data", "recipes", "trainer", "oracle", "policy", "console")
"""Every writer of the log."""

READERS = ("scaler", "exporter")
"""Roles that write nothing: one that counts the open jobs, for whoever starts workers (`deploy/kubernetes`), and one
that tells Prometheus what the log says (`aevolve exporter`)."""

WRITERS: dict[type[Frozen], tuple[str, ...]] = {
    e.CampaignStarted: ("console",),
    e.DataBatchReady: ("data",),
    e.DataFailed: ("data", "oracle"),
    e.RecipeProposed: ("recipes",),
    e.TrainingStarted: ("trainer",),
    e.CheckpointTrained: ("trainer",),
    e.TrainingFailed: ("trainer",),
    e.ScoresReported: ("oracle",),
    e.EvaluationFailed: ("oracle",),
    e.GuardsReported: ("oracle",),
    e.GuardsUnmeasured: ("oracle",),
    e.FingerprintsPublished: ("oracle",),
    e.SubmissionsChosen: ("policy",),
    e.SubmissionReserved: ("oracle",),
    e.DriftAssessed: ("oracle",),
    e.DriftDetected: ("oracle",),
    e.DriftCleared: ("oracle",),
    e.PolicyUpdated: ("policy",),
    e.CampaignFinished: ("policy",),
    e.CampaignPaused: ("console",),
    e.CampaignResumed: ("console",),
    e.CampaignStopped: ("console",),
    e.DecisionRefused: ("recipes", "oracle", "policy"),
    advisor.AdvisorAnswered: ("recipes",),
    advisor.AdviceWeighed: ("recipes",),
    advisor.AdvisorFailed: ("recipes", "policy"),
}
"""Who may write which event."""

EVENTS: dict[str, type[Frozen]] = {model.__name__: model for model in WRITERS}
"""Every event type by name."""

VERSIONS: dict[str, int] = {**dict.fromkeys(EVENTS, 1), "CampaignStarted": 3}
"""The version that today's writers write. CampaignStarted: 2 has targets besides the sealed set, 3 has suites."""

UPCASTERS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {
    ("CampaignStarted", 1): lambda data: data,
    ("CampaignStarted", 2): lambda data: data,
}
"""(type, version) -> function that makes a payload of the next version from it."""

FOLDER = Path(__file__).parent / "json"
"""Where the schemas are committed."""


class UnknownVersion(ValueError):
    """This code cannot read this version of an event."""

    def __init__(self, type_: str, version: int, remedy: str) -> None:
        super().__init__(f"version: {type_} is recorded in version {version}, today's is {VERSIONS[type_]}: {remedy}")


def parse(type_: str, version: int, data: dict[str, Any]) -> Frozen:
    """The event that a stored payload holds. Unknown keys of newer writers are ignored.

    Raises `KeyError` for an unknown type, `UnknownVersion` for a version that cannot be read here, and
    `pydantic.ValidationError` for a payload that does not fit.
    """
    return EVENTS[type_].model_validate(upcast(type_, version, data), extra="ignore")


def upcast(type_: str, version: int, data: dict[str, Any]) -> dict[str, Any]:
    """A stored payload as the version that today's writers write.

    Raises `KeyError` for an unknown type, and `UnknownVersion` where a step up to today's version is missing.
    """
    if version > VERSIONS[type_]:
        raise UnknownVersion(type_, version, "install the release that wrote it")
    for step in range(version, VERSIONS[type_]):
        if (type_, step) not in UPCASTERS:
            raise UnknownVersion(type_, version, f"register UPCASTERS[{type_!r}, {step}] in schemas/registry.py")
        data = UPCASTERS[type_, step](data)
    return data


def parse_json(type_: str, version: int, text: str) -> Frozen:
    """The event that a stored payload's text holds; as `parse`, without the way over a dictionary where none is due."""
    if version == VERSIONS[type_]:
        return EVENTS[type_].model_validate_json(text, extra="ignore")
    return parse(type_, version, json.loads(text))


def json_schema(type_: str) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of an event's payload."""
    schema = EVENTS[type_].model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": schema_id(type_, VERSIONS[type_]),
        **schema,
    }


def schema_id(type_: str, version: int) -> str:
    """The `dataschema` of an event: the name of its committed file."""
    return f"aevolve:{type_}.v{version}"


def files() -> dict[Path, str]:
    """Path and text of every schema file as the models are now."""
    return {
        FOLDER / f"{name}.v{VERSIONS[name]}.json": json.dumps(json_schema(name), indent=1, sort_keys=True) + "\n"
        for name in EVENTS
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
