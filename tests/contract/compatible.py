"""Whether a schema and its released form read each other's events: a structural comparison, field by field.

Two promises are checked. *Old events, new code*: whatever the released schema allows, today's models must take. *New
events, old code*: whatever today's models write, the released ones must take, keys that they do not know aside. Only
the keywords that our models produce are understood; another one is an error here, so that none is overlooked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

OLD_EVENTS = "old events, new code"
NEW_EVENTS = "new events, old code"
BOTH = "both directions"

ANNOTATIONS = {"title", "description", "$schema", "$id", "$defs", "$ref", "discriminator"}
"""Keywords that no value depends on, once references are followed; `oneOf` has what a discriminator repeats."""
LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
SHAPE = {"type", "anyOf", "oneOf", "items", "properties", "required", "additionalProperties", "patternProperties"}
KNOWN = {*ANNOTATIONS, *LOWER, *UPPER, *SHAPE, "propertyNames", "pattern", "enum", "const", "default"}
VERSION = "or give the event a new version with an upcaster (schemas/registry.py)"


@dataclass(frozen=True)
class Break:
    """One change that somebody cannot read."""

    event: str
    path: str
    change: str
    direction: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.event}: {self.path}: {self.change} ({self.direction}): {self.remedy}, {VERSION}"


def breaks(event: str, released: dict[str, Any], today: dict[str, Any]) -> list[Break]:
    """Every change between two schemas of one version of an event that is not additive."""
    comparison = Comparison(event, released.get("$defs", {}), today.get("$defs", {}))
    return list(comparison.nodes(released, today, ""))


@dataclass(frozen=True)
class Comparison:
    """Two schemas, with the definitions that their references name."""

    event: str
    released: dict[str, Any]
    today: dict[str, Any]

    def nodes(self, old: Any, new: Any, path: str) -> Iterator[Break]:
        """The breaks between two schemas of one place."""
        old, new = _resolved(old, self.released), _resolved(new, self.today)
        before, after = self._variants(old, self.released), self._variants(new, self.today)
        if gone := sorted(before.keys() - after.keys()):
            yield self._break(path, f"no longer {' or '.join(gone)}", OLD_EVENTS, "keep taking it")
        if come := sorted(after.keys() - before.keys()):
            yield self._break(path, f"now also {' or '.join(come)}", NEW_EVENTS, "keep writing the old type")
        for kind in sorted(before.keys() & after.keys()):
            yield from self._values(before[kind], after[kind], path)

    def _variants(self, node: dict[str, Any], defs: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The forms that a value may take, by kind."""
        choices = node.get("anyOf") or node.get("oneOf")
        forms = [_resolved(form, defs) for form in choices] if choices else [node]
        return {_kind(form, defs): form for form in forms}

    def _values(self, old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Break]:
        yield from self._choices(old, new, path)
        yield from self._bounds(old, new, path)
        if old.get("pattern") != new.get("pattern"):
            change = f"pattern {old.get('pattern')} became {new.get('pattern')}"
            yield self._break(path, change, BOTH, "restore the pattern")
        if "items" in old and "items" in new:
            yield from self.nodes(old["items"], new["items"], f"{path}[]")
        if old.get("type") == "object":
            yield from self._fields(old, new, path)
            yield from self._mappings(old, new, path)

    def _choices(self, old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Break]:
        before, after = _choices(old), _choices(new)
        if after is not None and (before is None or before - after):
            gone = "any other value" if before is None else ", ".join(sorted(before - after))
            yield self._break(path, f"no longer {gone}", OLD_EVENTS, "keep the value among the choices")
        if before is not None and (after is None or after - before):
            come = "any value" if after is None else ", ".join(sorted(after - before))
            yield self._break(path, f"now also {come}", NEW_EVENTS, "say it in a new field that has a default")

    def _bounds(self, old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Break]:
        for keyword, sign in (*((k, 1) for k in LOWER), *((k, -1) for k in UPPER)):
            before, after = (sign * node[keyword] if keyword in node else float("-inf") for node in (old, new))
            change = f"{keyword} {old.get(keyword)} became {new.get(keyword)}"
            if after > before:
                yield self._break(path, f"{change}: tighter", OLD_EVENTS, "restore the bound")
            elif after < before:
                yield self._break(path, f"{change}: looser", NEW_EVENTS, "restore the bound")

    def _fields(self, old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Break]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in sorted(before.keys() - after.keys()):
            yield self._break(f"{path}.{name}", "the field is gone", NEW_EVENTS, "keep the field")
        for name in sorted(after.keys() - before.keys()):
            if name in new.get("required", ()):
                yield self._break(f"{path}.{name}", "a new field without default", OLD_EVENTS, "give it a default")
        for name in sorted(before.keys() & after.keys()):
            yield from self._presence(name, old, new, path)
            yield from self.nodes(before[name], after[name], f"{path}.{name}")

    def _presence(self, name: str, old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Break]:
        before, after = (name in node.get("required", ()) for node in (old, new))
        if after and not before:
            yield self._break(f"{path}.{name}", "it is now required", OLD_EVENTS, "give it its default again")
        elif before and not after:
            yield self._break(f"{path}.{name}", "it is no longer required", NEW_EVENTS, "take its default away")
        elif not after and _default(old, name) != _default(new, name):
            change = f"default {_default(old, name)} became {_default(new, name)}"
            yield self._break(f"{path}.{name}", change, OLD_EVENTS, "restore the default")

    def _mappings(self, old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Break]:
        """Free keys: which are allowed, and what they hold."""
        before, after = _free(old), _free(new)
        if before.keys() != after.keys() or old.get("propertyNames") != new.get("propertyNames"):
            yield self._break(f"{path}.*", "other keys are allowed", BOTH, "restore the keys")
            return
        for pattern in before:
            yield from self.nodes(before[pattern], after[pattern], f"{path}.*")

    def _break(self, path: str, change: str, direction: str, remedy: str) -> Break:
        return Break(self.event, path.lstrip(".") or "the event", change, direction, remedy)


def _resolved(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """A schema with its reference followed; raises `ValueError` for a keyword that is not understood."""
    if "$ref" in node:
        node = {**defs[node["$ref"].rpartition("/")[2]], **node}
    if strange := node.keys() - KNOWN:
        raise ValueError(f"keywords {sorted(strange)} are not compared yet; teach tests/contract/compatible.py")
    return node


def _kind(form: dict[str, Any], defs: dict[str, Any]) -> str:
    if "kind" in form.get("properties", {}):  # one of several objects, told apart by this key
        return f"{form['type']} of kind {form['properties']['kind'].get('const')}"
    if form["type"] != "array":
        return str(form["type"])
    return f"array of {_kind_of_items(_resolved(form['items'], defs), defs)}"


def _kind_of_items(items: dict[str, Any], defs: dict[str, Any]) -> str:
    return "several" if {"anyOf", "oneOf"} & items.keys() else _kind(items, defs)


def _choices(node: dict[str, Any]) -> set[str] | None:
    if "const" in node:
        return {repr(node["const"])}
    return {repr(value) for value in node["enum"]} if "enum" in node else None


def _default(node: dict[str, Any], name: str) -> Any:
    return node["properties"][name].get("default", "made by a factory")


def _free(node: dict[str, Any]) -> dict[str, Any]:
    """Schemas of free keys by their pattern."""
    further = node.get("additionalProperties")
    return {**node.get("patternProperties", {}), **({"": further} if isinstance(further, dict) else {})}
