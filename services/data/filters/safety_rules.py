"""The lexicon of the safety filter as patterns; what it says stands in `safety.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

ANYTHING = re.compile("")


@dataclass(frozen=True)
class Rule:
    """One kind of unsafe sentence."""

    category: str
    """What kind of harm."""
    reason: str
    """What the sentence does, in words."""
    means: re.Pattern[str]
    """The means of harm."""
    cue: re.Pattern[str]
    """What must stand in the same sentence."""


def _any(words: Iterable[str]) -> re.Pattern[str]:
    # At the beginnings of words alone: a boundary is at their ends too, where nothing can be found.
    return re.compile(rf"\b(?=\w)(?:{'|'.join(words)})\b")


def _rule(said: dict[str, Any]) -> Rule:
    cues = [word for name in said["cues"] for word in _SAID["cues"][name]]
    return Rule(said["category"], said["reason"], _any(said["means"]), _any(cues) if cues else ANYTHING)


_SAID: dict[str, Any] = yaml.safe_load((files(__package__) / "safety.yaml").read_text(encoding="utf-8"))

RULES = tuple(map(_rule, _SAID["rules"]))
"""Rules in the order of their gravity: the first that is broken is the verdict."""

PROTECTIVE = _any(_SAID["protects"])
"""In whose company a means of harm is not taught."""

SUSPECT = _any(
    word for said in _SAID["rules"] for word in (_SAID["cues"]["urge"] if said["cues"] == ["urge"] else said["means"])
)
"""Without it no rule can be broken. Groups of people are named everywhere, calls for violence are not."""
