"""The page of all campaign keys, written from the models, so that it cannot differ from what a campaign file may hold.

`python -m schemas.reference > docs/reference/campaign.md` writes the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from schemas.campaign import Campaign

HEAD = """# Keys of a campaign file

Every key, with its type, default and bounds. `python -m schemas.reference` writes this page; a test compares it with
the models. Unknown keys are refused.
"""
BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "minLength": "length at least",
    "maxLength": "length at most",
    "minItems": "entries at least",
}


def page() -> str:
    """The page, in Markdown."""
    schema = Campaign.model_json_schema()
    definitions = schema["$defs"]
    lines = [HEAD, *_section("The file", schema)]
    waiting, written = _references(schema["properties"]), set[str]()
    while waiting:
        name = waiting.pop(0)
        if name not in written:
            written.add(name)
            lines += _section(name, definitions[name])
            waiting += _references(definitions[name].get("properties", {}))
    return "\n".join(lines)


def _section(title: str, schema: dict[str, Any]) -> Iterator[str]:
    """A model: its sentence, and a row for each key."""
    yield f"## {title}\n\n{_one_line(schema['description'])}\n"
    yield "| key | type | default | bounds | meaning |\n|---|---|---|---|---|"
    for key, field in schema["properties"].items():
        default = "required" if key in schema.get("required", ()) else _default(field)
        bounds = ", ".join(_bounds(field))
        yield f"| `{key}` | {_type(field)} | {default} | {bounds} | {_one_line(field.get('description', ''))} |"
    yield ""


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if forms := field.get("anyOf") or field.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(form) for form in forms))
    if "const" in field or "enum" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field["type"] == "array":
        return f"list of {_type(field['items'])}"
    if field["type"] == "object":
        values = field.get("additionalProperties") or next(iter(field["patternProperties"].values()))
        return f"map of name to {_type(values)}"
    return {"null": "none"}.get(field["type"], str(field["type"]))


def _default(field: dict[str, Any]) -> str:
    default = field.get("default", {})
    if isinstance(default, dict):  # of a part with keys of its own, or an empty map
        return "its defaults" if default else "empty"
    return "none" if default is None else f"`{json.dumps(default)}`"


def _bounds(field: dict[str, Any]) -> Iterator[str]:
    """The bounds of a value, or of those in a list or a map."""
    for keyword, words in BOUNDS.items():
        if keyword in field:
            yield f"{words} {field[keyword]}"
    parts = [*field.get("anyOf", ()), field.get("items", {}), field.get("additionalProperties", {})]
    parts += field.get("patternProperties", {}).values()
    for part in parts:
        if isinstance(part, dict) and part:
            yield from _bounds(part)


def _references(node: Any) -> list[str]:
    """Names of the models that a schema refers to, in their order."""
    if isinstance(node, dict):
        own = [node["$ref"].rpartition("/")[2]] if "$ref" in node else []
        return own + [name for key, part in node.items() if key != "discriminator" for name in _references(part)]
    return [name for part in node for name in _references(part)] if isinstance(node, list) else []


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - the page is its output
