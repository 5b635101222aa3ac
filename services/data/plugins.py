"""Sources and filters of other packages, found by entry points and checked when a campaign file is loaded.

A package registers a class under the group `aevolve.sources` or `aevolve.filters`:

- a source is called with its `PluginSource` and a `RoundContext` and has `harvest` (`services.data.sources.source`);
- a filter is called with its `PluginFilter` and has `name` and `judge` (`services.data.filters.filter`).

If the class has an attribute `Options`, a pydantic model, the campaign's `options` must fit it.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from schemas.sources import KINDS, DataRule, PluginFilter, PluginSource

SOURCES = "aevolve.sources"
FILTERS = "aevolve.filters"


class PluginInvalid(ValueError):
    """A plug-in is not installed or rejects its options; the message names the field, the value and the remedy."""


def load_plugin(spec: PluginSource | PluginFilter) -> Any:
    """The class that a package registers for a kind. Raises `PluginInvalid` if none does."""
    group, field = (SOURCES, f"data.sources: {spec.name}") if isinstance(spec, PluginSource) else (FILTERS, _FILTERS)
    registered = {entry.name: entry for entry in entry_points(group=group)}
    if spec.kind not in registered:
        kinds = sorted({*registered, *(KINDS if group == SOURCES else ())})
        raise PluginInvalid(
            f"{field}: kind {spec.kind!r} is not one of {', '.join(kinds) or 'no installed filters'}; correct it, or "
            f"install the package that registers it under {group}"
        )
    try:
        return registered[spec.kind].load()
    except ImportError as error:
        raise PluginInvalid(
            f"{field}: kind {spec.kind!r} cannot be imported ({error}); reinstall its package"
        ) from error


def check_plugins(rule: DataRule) -> None:
    """Validate the options of a campaign's plug-ins. Raises `PluginInvalid` for the first that is wrong."""
    plugins: list[PluginSource | PluginFilter] = [one for one in rule.sources if isinstance(one, PluginSource)]
    for spec in (*plugins, *rule.filters.plugins):
        options = getattr(load_plugin(spec), "Options", None)
        try:
            if options is not None:
                options.model_validate(spec.options)
        except ValidationError as error:
            detail = error.errors()[0]
            field = f"data.sources: {spec.name}" if isinstance(spec, PluginSource) else _FILTERS
            place = ".".join(map(str, ("options", *detail["loc"])))
            raise PluginInvalid(
                f"{field}: {place} of kind {spec.kind!r}: {detail['input']!r}; {detail['msg']}"
            ) from error


_FILTERS = "data.filters.plugins"
