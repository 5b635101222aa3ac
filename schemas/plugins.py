"""Extension points: objects by name, those of this project and those that installed packages add as entry points.

A name of this project is found without a look at the installed packages, and always wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Discriminator

T = TypeVar("T")


class UnknownName(ValueError):
    """No installed package provides the name. The text names field, value, known names and remedy."""


@dataclass(frozen=True)
class Registry(Generic[T]):
    """The objects that one field of a campaign file can name."""

    field: str
    """Path of the field, for errors, such as `recipe.method`."""
    group: str
    """Entry-point group in which other packages add objects."""
    builtin: Mapping[str, T]
    """The objects of this project."""

    def get(self, name: str) -> T:
        """The object of a name. Raises `UnknownName`, or what importing an entry point raises."""
        if name in self.builtin:
            return self.builtin[name]
        for entry_point in entry_points(group=self.group, name=name):
            plugin: T = entry_point.load()
            return plugin
        raise UnknownName(self.unknown(name))

    def names(self) -> tuple[str, ...]:
        """All names: this project's, then the other packages'."""
        added = sorted({point.name for point in entry_points(group=self.group)} - self.builtin.keys())
        return (*self.builtin, *added)

    def unknown(self, name: str) -> str:
        """The message for a name that no package provides: field, value, known names and remedy."""
        return (
            f"{self.field}: {name!r} is not known; use one of {', '.join(self.names())}, or install the package that "
            f"adds it (entry points {self.group})"
        )


def kinds_of(models: Sequence[type[BaseModel]]) -> tuple[str, ...]:
    """The `kind` of each model of this project, in their order."""
    return tuple(str(model.model_fields["kind"].default) for model in models)


def by_kind(error_type: str, base: type[BaseModel], models: Sequence[type[BaseModel]]) -> Discriminator:
    """Which model reads a mapping with a `kind`: one of this project, by its kind as the tag, or the tag `plugin`.

    A misspelt kind with its own fields is no plug-in: those go under `options`.
    """
    kinds = kinds_of(models)
    plugin_fields = base.model_fields.keys() | {"kind", "options"}

    def tag(value: Any) -> str | None:
        fields = value if isinstance(value, dict) else vars(value) if isinstance(value, base) else {}
        kind = fields.get("kind")
        if kind in kinds:
            return str(kind)
        plugin = "options" in fields or fields.keys() <= plugin_fields
        return "plugin" if isinstance(kind, str) and plugin else None

    message = f"kind should be one of {', '.join(kinds)}, or a plug-in's, whose settings go under `options`"
    return Discriminator(tag, custom_error_type=error_type, custom_error_message=message)
