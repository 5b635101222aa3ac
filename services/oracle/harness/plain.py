"""A task's file read as plain data: none of the code beside it is imported.

lm-eval imports what `!function` names as it loads a task, and for tasks that run code that alone may run programs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


class Function(str):
    """Name of a function in the code beside a task's file."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """YAML with `!function`."""


_Loader.add_constructor("!function", lambda _, node: Function(node.value))


def read(path: Path) -> dict[str, Any]:
    """The task's configuration, with what it includes."""
    own: dict[str, Any] = yaml.load(path.read_text(), _Loader)  # noqa: S506 - a SafeLoader
    included = own.pop("include", [])
    config: dict[str, Any] = {}
    for name in included if isinstance(included, list) else [included]:
        config |= read(path.parent / name)
    return config | own


def functions(value: Any, where: str = "") -> Iterator[str]:
    """The keys under which functions stand."""
    if isinstance(value, Function):
        yield where
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from functions(part, f"{where}.{key}" if where else str(key))
