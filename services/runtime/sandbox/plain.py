"""Values that pass between program and tests: plain data as JSON, never objects with their own code.

So an answer whose `__eq__` is always true never reaches an `assert`. A value of a subclass is refused: as its plain
parent it could compare, or be typed, other than it does where program and tests share a process.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Sequence
from typing import Any

SCALARS = (type(None), bool, int, float, str)
SERIES: dict[str, Any] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque}
MAPPINGS: dict[str, Any] = {
    "dict": dict,
    "Counter": Counter,
    "OrderedDict": OrderedDict,
    "defaultdict": lambda items: defaultdict(None, items),
}
BYTES: dict[str, Any] = {"bytes": bytes, "bytearray": bytearray}
NAMES = {
    **{kind: name for table in (SERIES, BYTES) for name, kind in table.items()},
    **{kind: kind.__name__ for kind in (dict, Counter, OrderedDict, defaultdict, complex)},
}
"""Of each kind that is not a scalar."""


def dumps(value: Any) -> bytes:
    """One line. Raises `TypeError` for what is not plain."""
    return json.dumps(_flat(value)).encode() + b"\n"


def loads(line: bytes) -> Any:
    """The value of a line. Raises `ValueError`, `TypeError`, `KeyError` or `RecursionError` for any other line."""
    return _rebuilt(json.loads(line))


def update(values: Sequence[Any], newer: Sequence[Any]) -> None:
    """Change what is mutable among the values, at any depth, to what the newer ones hold.

    Raises `TypeError` or `ValueError` where the newer ones are not the same kinds of values.
    """
    for value, new in zip(values, newer, strict=True):
        _update(value, new)


def _update(value: Any, new: Any) -> None:
    if type(value) is not type(new):
        raise TypeError(f"{type(value).__name__} became {type(new).__name__}")
    if isinstance(value, tuple) and len(value) == len(new):
        update(value, new)
    elif isinstance(value, (list, deque, bytearray)):
        same = [_updated_value(*pair) for pair in zip(value, new, strict=False)]
        more = list(new)[len(same) :]
        value.clear()
        value.extend([*same, *more])
    elif isinstance(value, dict):
        items = {key: _updated_value(value[key], item) if key in value else item for key, item in new.items()}
        value.clear()
        value.update(items)
    elif isinstance(value, set):
        value.clear()
        value.update(new)


def _updated_value(value: Any, new: Any) -> Any:
    """The value itself, updated, where it can have become the new one."""
    try:
        _update(value, new)
    except (TypeError, ValueError):
        return new
    return value if value == new else new


def _flat(value: Any) -> Any:
    if isinstance(value, SCALARS) and type(value) in SCALARS:
        return value
    name = NAMES.get(type(value))
    if name in SERIES:
        return {name: [_flat(item) for item in value]}
    if name in MAPPINGS:
        return {name: [[_flat(key), _flat(item)] for key, item in value.items()]}
    if name in BYTES:
        return {name: value.hex()}
    if name == "complex":
        return {name: [value.real, value.imag]}
    raise TypeError(f"{type(value).__name__} is not a plain value")


def _rebuilt(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((name, inner),) = value.items()
    if name in MAPPINGS:
        return MAPPINGS[name]({_rebuilt(key): _rebuilt(item) for key, item in inner})
    if name == "complex":
        return complex(*inner)
    if name in BYTES:
        return BYTES[name].fromhex(inner)
    return SERIES[name](_rebuilt(item) for item in inner)
