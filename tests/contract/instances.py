"""Payloads that a schema of ours allows, drawn by hypothesis; the keywords are those of `tests.contract.compatible`."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import strategies as st

from tests.contract.compatible import KNOWN


def instances(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that fit a schema with its own definitions."""
    return _of(schema, schema.get("$defs", {}))


def _of(node: dict[str, Any], defs: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "$ref" in node:
        node = {**defs[node["$ref"].rpartition("/")[2]], **node}
    assert node.keys() <= KNOWN, node
    if forms := node.get("anyOf") or node.get("oneOf"):
        return st.one_of([_of(form, defs) for form in forms])
    if "const" in node or "enum" in node:
        return st.sampled_from(node.get("enum", [node.get("const")]))
    return TYPES[node["type"]](node, defs)


def _text(node: dict[str, Any], _: dict[str, Any]) -> st.SearchStrategy[str]:
    if "pattern" in node:
        # A dollar also fits before a last line break, in Python's `re` alone.
        fits = st.from_regex(node["pattern"].removesuffix("$") + r"\Z", fullmatch=True)
        return fits.filter(lambda text: len(text) <= node.get("maxLength", len(text)))
    least = node.get("minLength", 0)
    return st.text(min_size=least, max_size=min(least + 20, node.get("maxLength", least + 20)))


def _whole(node: dict[str, Any], _: dict[str, Any]) -> st.SearchStrategy[int]:
    return st.integers(node.get("minimum", -(2**53)), node.get("maximum", 2**53))


def _real(node: dict[str, Any], _: dict[str, Any]) -> st.SearchStrategy[float]:
    low, high = (node.get(key, node.get(f"exclusive{key.title()}")) for key in ("minimum", "maximum"))
    return st.floats(
        low,
        high,
        allow_nan=False,
        allow_infinity=False,
        exclude_min="exclusiveMinimum" in node,
        exclude_max="exclusiveMaximum" in node,
    )


def _list(node: dict[str, Any], defs: dict[str, Any]) -> st.SearchStrategy[list[Any]]:
    least = node.get("minItems", 0)
    return st.lists(_of(node["items"], defs), min_size=least, max_size=least + 2)


def _object(node: dict[str, Any], defs: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    if "properties" not in node:
        return st.one_of([_mapping(key, value, defs) for key, value in _free(node).items()])
    draw = partial(_of, defs=defs)
    fields = {name: draw(about) for name, about in node["properties"].items()}
    # A member of a union is told apart by its `kind`, which every writer writes although it has a default.
    tags = [name for name, about in node["properties"].items() if name == "kind" and "const" in about]
    required = {name: fields.pop(name) for name in (*node.get("required", ()), *tags)}
    return st.fixed_dictionaries(required, optional=fields)


def _mapping(pattern: str, value: dict[str, Any], defs: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    key = _text({"pattern": pattern, "maxLength": 100}, defs) if pattern else st.text(max_size=20)
    return st.dictionaries(key, _of(value, defs), max_size=2)


def _free(node: dict[str, Any]) -> dict[str, Any]:
    return node.get("patternProperties") or {"": node["additionalProperties"]}


TYPES = {
    "string": _text,
    "integer": _whole,
    "number": _real,
    "boolean": lambda *_: st.booleans(),
    "null": lambda *_: st.none(),
    "array": _list,
    "object": _object,
}
