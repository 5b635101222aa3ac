"""The comparison of schemas finds each kind of break, and lets each additive change pass."""

from copy import deepcopy
from typing import Any

import pytest

from tests.contract.compatible import BOTH, NEW_EVENTS, OLD_EVENTS, breaks

SCHEMA: dict[str, Any] = {
    "$defs": {
        "Part": {
            "additionalProperties": False,
            "properties": {"size": {"type": "integer", "minimum": 0, "maximum": 9, "description": "Size."}},
            "required": ["size"],
            "title": "Part",
            "type": "object",
        }
    },
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^a", "maxLength": 9},
        "kind": {"enum": ["dev", "final"], "type": "string"},
        "target": {"const": "sealed", "default": "sealed", "type": "string"},
        "part": {"anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}]},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}, "minItems": 1, "default": []},
        "rows": {"type": "object", "additionalProperties": {"type": "integer"}},
        "mix": {
            "type": "object",
            "patternProperties": {"^[a-z]$": {"type": "number", "minimum": 0.0}},
            "propertyNames": {"maxLength": 5},
        },
        "share": {"type": "number", "exclusiveMinimum": 0, "default": 0.5},
    },
    "required": ["name", "kind", "part", "rows", "mix"],
    "title": "Thing",
    "type": "object",
}
ABSENT = object()


def changed(*place, to=ABSENT):
    """The schema with one value put in or, without one, taken out."""
    schema = deepcopy(SCHEMA)
    *parents, last = place
    node = schema
    for parent in parents:
        node = node[parent]
    if to is ABSENT:
        del node[last]
    else:
        node[last] = to
    return schema


def without(name):
    return [field for field in SCHEMA["required"] if field != name]


P = "properties"
BREAKS = {
    "a field is removed": (changed(P, "share"), "share", NEW_EVENTS, "keep the field"),
    "a new field has no default": (
        {**changed(P, "new", to={"type": "string"}), "required": [*SCHEMA["required"], "new"]},
        "new",
        OLD_EVENTS,
        "give it a default",
    ),
    "a field becomes required": (
        changed("required", to=[*SCHEMA["required"], "share"]),
        "share",
        OLD_EVENTS,
        "give it its default again",
    ),
    "a field is no longer required": (changed("required", to=without("name")), "name", NEW_EVENTS, "take its default"),
    "a default changes": (changed(P, "share", "default", to=0.7), "share", OLD_EVENTS, "restore the default"),
    "a type is lost": (changed(P, "rows", to={"type": "string"}), "rows", OLD_EVENTS, "keep taking it"),
    "a type is new": (changed(P, "rows", to={"type": "string"}), "rows", NEW_EVENTS, "keep writing the old type"),
    "null is no longer allowed": (changed(P, "part", to={"$ref": "#/$defs/Part"}), "part", OLD_EVENTS, "keep taking"),
    "null is allowed": (
        changed(P, "rows", to={"anyOf": [SCHEMA[P]["rows"], {"type": "null"}]}),
        "rows",
        NEW_EVENTS,
        "keep writing",
    ),
    "a list holds another type": (changed(P, "parts", "items", to={"type": "string"}), "parts", OLD_EVENTS, "keep"),
    "an enum shrinks": (changed(P, "kind", "enum", to=["dev"]), "kind", OLD_EVENTS, "keep the value"),
    "an enum grows": (changed(P, "kind", "enum", to=["dev", "final", "x"]), "kind", NEW_EVENTS, "in a new field"),
    "an enum opens": (changed(P, "kind", to={"type": "string"}), "kind", NEW_EVENTS, "in a new field"),
    "a free text closes": (changed(P, "name", "enum", to=["ab"]), "name", OLD_EVENTS, "keep the value"),
    "a constant changes": (changed(P, "target", "const", to="open"), "target", OLD_EVENTS, "keep the value"),
    "a lower bound rises": (changed("$defs", "Part", P, "size", "minimum", to=1), "part.size", OLD_EVENTS, "restore"),
    "a lower bound falls": (changed("$defs", "Part", P, "size", "minimum"), "parts[].size", NEW_EVENTS, "restore"),
    "an upper bound falls": (changed("$defs", "Part", P, "size", "maximum", to=8), "part.size", OLD_EVENTS, "restore"),
    "an upper bound rises": (changed("$defs", "Part", P, "size", "maximum", to=10), "part.size", NEW_EVENTS, "restore"),
    "a strict bound is new": (changed(P, "share", "exclusiveMaximum", to=1), "share", OLD_EVENTS, "restore the bound"),
    "a length shrinks": (changed(P, "name", "maxLength", to=8), "name", OLD_EVENTS, "restore the bound"),
    "a list may be empty": (changed(P, "parts", "minItems"), "parts", NEW_EVENTS, "restore the bound"),
    "a pattern changes": (changed(P, "name", "pattern", to="^b"), "name", BOTH, "restore the pattern"),
    "the values of free keys change": (
        changed(P, "rows", "additionalProperties", to={"type": "string"}),
        "rows.*",
        OLD_EVENTS,
        "keep taking it",
    ),
    "the free keys change": (
        changed(P, "mix", "propertyNames", to={"maxLength": 4}),
        "mix.*",
        BOTH,
        "restore the keys",
    ),
    "the values under a pattern of keys change": (
        changed(P, "mix", "patternProperties", "^[a-z]$", "minimum", to=1.0),
        "mix.*",
        OLD_EVENTS,
        "restore the bound",
    ),
}

ADDITIVE = {
    "nothing": SCHEMA,
    "a field with a default": changed(P, "new", to={"type": "integer", "default": 1}),
    "a field with a default in a part": changed("$defs", "Part", P, "new", to={"type": "integer", "default": 1}),
    "another title": changed("title", to="Other"),
    "another description": changed("$defs", "Part", P, "size", "description", to="Its size."),
    "a renamed definition": {
        **changed(P, "parts", "items", "$ref", to="#/$defs/Renamed"),
        "$defs": {**SCHEMA["$defs"], "Renamed": SCHEMA["$defs"]["Part"]},
    },
}


@pytest.mark.parametrize("name", list(BREAKS))
def test_a_break_is_found_with_its_place_its_direction_and_its_remedy(name):
    today, path, direction, remedy = BREAKS[name]
    found = [b for b in breaks("Thing", SCHEMA, today) if (b.path, b.direction) == (path, direction)]
    assert found, [str(b) for b in breaks("Thing", SCHEMA, today)]
    assert remedy in str(found[0])
    assert str(found[0]).startswith(f"Thing: {path}: ")
    assert "new version with an upcaster" in str(found[0])


@pytest.mark.parametrize("name", list(ADDITIVE))
def test_an_additive_change_passes(name):
    assert [str(b) for b in breaks("Thing", SCHEMA, ADDITIVE[name])] == []


def test_a_keyword_that_is_not_compared_is_an_error():
    with pytest.raises(ValueError, match=r"\['multipleOf'\] are not compared yet"):
        breaks("Thing", SCHEMA, changed(P, "share", "multipleOf", to=2))
