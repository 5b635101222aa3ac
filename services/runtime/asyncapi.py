"""What a service receives and sends, as an AsyncAPI 3.0 document: its `/docs`, and committed in `schemas/asyncapi`.

FastStream would write one itself, but for a subscriber of several topics it says that each carries any of the events,
it knows no headers, and it names the broker's address. Here each channel has its own event, with CloudEvents headers.

`python -m services.runtime.asyncapi` writes the committed documents.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from faststream.specification import AsyncAPI, Specification

from schemas.envelope import HEADERS, topic
from schemas.registry import EVENTS, FOLDER, SERVICES, VERSIONS, WRITERS, schema_id
from services.runtime.service import Service

SCHEMAS = "#/components/schemas"
KEY = {"type": "string", "description": "The event's stream, so that a stream keeps its order within its partition."}

COMMITTED = FOLDER.parent / "asyncapi"
"""Where the documents are committed."""


class Document(dict[str, Any]):
    """A finished document, as FastStream's pages want it."""

    @property
    def title(self) -> str:
        """Of the page."""
        return str(self["info"]["title"])

    def to_jsonable(self) -> dict[str, Any]:
        """Plain data."""
        return dict(self)

    def to_json(self) -> str:
        """JSON, the same bytes for the same contract."""
        return json.dumps(self, indent=1, sort_keys=True) + "\n"

    def to_yaml(self) -> str:
        """The same as YAML."""
        return yaml.safe_dump(self.to_jsonable(), sort_keys=True)


class Contract(AsyncAPI):
    """The specification of FastStream's application, with our document in place of its own."""

    def __init__(self, service: Service) -> None:
        super().__init__(title=f"aevolve {service.name}", version="1", description=service.name)
        self.service = service

    def to_specification(self) -> Specification:
        """The service's document."""
        return document(self.service)


def document(service: Service) -> Document:
    """A service's contract: it receives what it reacts to and sends what it may write."""
    sent = [model.__name__ for model, writers in WRITERS.items() if service.name in writers]
    received = list(service.reactions)
    names = list(dict.fromkeys([*received, *sent]))
    return Document(
        asyncapi="3.0.0",
        id=f"urn:aevolve:{service.name}",
        info={
            "title": f"aevolve {service.name}",
            "version": "1",
            "description": (importlib.import_module(f"services.{service.name}.app").__doc__ or "").strip(),
            "license": {"name": "Apache-2.0"},
        },
        defaultContentType="application/json",
        channels={topic(name): _channel(name) for name in names},
        operations={f"receive{name}": _operation("receive", name, service) for name in received}
        | {f"send{name}": _operation("send", name, service) for name in sent},
        components={"messages": {name: _message(name) for name in names}, "schemas": _schemas(names)},
    )


def _channel(name: str) -> dict[str, Any]:
    return {
        "address": topic(name),
        "description": EVENTS[name].__doc__,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"kafka": {"topic": topic(name), "bindingVersion": "0.5.0"}},
    }


def _operation(action: str, name: str, service: Service) -> dict[str, Any]:
    channel = f"#/channels/{topic(name)}"
    group = {"groupId": {"type": "string", "const": f"aevolve.{service.name}"}} if action == "receive" else {}
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"}],
        "bindings": {"kafka": {**group, "bindingVersion": "0.5.0"}},
    }


def _message(name: str) -> dict[str, Any]:
    own = {"ce_type": {"const": name}, "ce_dataschema": {"const": schema_id(name, VERSIONS[name])}}
    return {
        "name": name,
        "title": name,
        "summary": EVENTS[name].__doc__,
        "contentType": "application/json",
        "headers": {"allOf": [{"$ref": f"{SCHEMAS}/CloudEvent"}, {"type": "object", "properties": own}]},
        "payload": {"$ref": f"{SCHEMAS}/{name}"},
        "bindings": {"kafka": {"key": KEY, "bindingVersion": "0.5.0"}},
    }


def _schemas(names: Iterable[str]) -> dict[str, Any]:
    """The JSON schemas of the payloads and of the models that they use."""
    schemas: dict[str, Any] = {"CloudEvent": HEADERS}
    for name in names:
        schema = EVENTS[name].model_json_schema(ref_template=f"{SCHEMAS}/{{model}}")
        schemas |= schema.pop("$defs", {}) | {name: schema}
    return schemas


def files() -> dict[Path, str]:
    """Path and text of every document as the services are now."""
    services = [name for name in SERVICES if name != "console"]
    return {COMMITTED / f"{name}.json": document(_service(name)).to_json() for name in services}


def _service(name: str) -> Service:
    service: Service = importlib.import_module(f"services.{name}.app").SERVICE
    return service


if __name__ == "__main__":
    COMMITTED.mkdir(exist_ok=True)
    for path, text in files().items():
        path.write_text(text)
