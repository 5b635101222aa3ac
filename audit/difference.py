"""Where two JSON values differ, leaf by leaf."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """One value that is not the same in two messages."""

    path: str
    """Where it stands, as `policy.axes.2.probabilities.0`."""
    recorded: Any
    """What the log holds; None where it holds nothing."""
    recomputed: Any
    """What came out now."""


def differences(recorded: Any, recomputed: Any, path: str = "") -> Iterator[Difference]:
    """Every leaf that is not the same in both."""
    if isinstance(recorded, Mapping) and isinstance(recomputed, Mapping):
        for key in sorted({*recorded, *recomputed}):
            yield from differences(recorded.get(key), recomputed.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(recorded, list) and isinstance(recomputed, list) and len(recorded) == len(recomputed):
        for at, (left, right) in enumerate(zip(recorded, recomputed, strict=True)):
            yield from differences(left, right, f"{path}.{at}".lstrip("."))
    elif recorded != recomputed:
        yield Difference(path, recorded, recomputed)


def completed(recorded: Any, parsed: Any) -> Any:
    """The recorded value plus the keys that only the parsed value has, because later releases added them.

    Recorded parts stay as they are, byte for byte.
    """
    if isinstance(recorded, Mapping) and isinstance(parsed, Mapping):
        present = {key: completed(value, parsed[key]) if key in parsed else value for key, value in recorded.items()}
        return {**parsed, **present}
    if isinstance(recorded, list) and isinstance(parsed, list) and len(recorded) == len(parsed):
        return [completed(left, right) for left, right in zip(recorded, parsed, strict=True)]
    return recorded
