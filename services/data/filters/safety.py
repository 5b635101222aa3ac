"""Drops rows with instructions for harm, by a lexicon in context (measured in docs/guides/data.md).

A sentence is unsafe if it names a means of harm and asks for it or explains it. The word alone drops nothing, so news,
history, medicine and warnings pass. English only. The lexicon is our own: `safety.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from schemas.rows import Row
from services.data.filters.filter import Dropped, text_of

SENTENCE = re.compile(r"\w[^.!?\n]*")
"""A sentence from its first word on, without leading marks and quotes."""

ANYTHING = re.compile("")


@dataclass(frozen=True)
class Rule:
    """One kind of unsafe sentence."""

    category: str
    """The kind of harm."""
    reason: str
    """A description of the sentence."""
    means: re.Pattern[str]
    """The means of harm."""
    cue: re.Pattern[str]
    """A pattern that must occur in the same sentence."""

    def broken_by(self, sentence: str) -> bool:
        """Whether a sentence breaks the rule."""
        if not (self.means.search(sentence) and self.cue.search(sentence)):
            return False
        return self.cue is ANYTHING or not PROTECTIVE.search(sentence)


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    # At the start of words only: a boundary is at their ends too, where no pattern can match.
    return re.compile(rf"\b(?=\w)(?:{'|'.join(patterns)})\b")


def _rule(entry: dict[str, Any]) -> Rule:
    cues = [pattern for name in entry["cues"] for pattern in _LEXICON["cues"][name]]
    return Rule(entry["category"], entry["reason"], _any(entry["means"]), _any(cues) if cues else ANYTHING)


_LEXICON: dict[str, Any] = yaml.safe_load((files(__package__) / "safety.yaml").read_text(encoding="utf-8"))

RULES = tuple(map(_rule, _LEXICON["rules"]))
"""Rules in order of severity: the first broken one is the verdict."""

PROTECTIVE = _any(_LEXICON["protects"])
"""Patterns that make a sentence safe."""

SUSPECT = _any(
    pattern
    for entry in _LEXICON["rules"]
    for pattern in (_LEXICON["cues"]["urge"] if entry["cues"] == ["urge"] else entry["means"])
)
"""A quick test: a text without a match breaks no rule. Names of groups are frequent, calls for violence are not."""


@dataclass(frozen=True)
class Verdict:
    """The reason why a text is unsafe."""

    category: str
    """The kind of harm."""
    reason: str
    """Description of the broken rule; never the text itself."""


class Safety:
    """Drops a row with an unsafe sentence; the reason is the category, the detail the rule."""

    name = "safety"

    def judge(self, row: Row) -> Row | Dropped:
        """The row, unless a sentence of it is unsafe."""
        verdict = unsafe(text_of(row))
        return Dropped(self.name, verdict.category, verdict.reason) if verdict else row


def unsafe(text: str) -> Verdict | None:
    """The verdict on a text; None if it breaks no rule."""
    lowered = text.lower()
    if not SUSPECT.search(lowered):
        return None
    for sentence in SENTENCE.findall(lowered):
        if SUSPECT.search(sentence):
            for rule in RULES:
                if rule.broken_by(sentence):
                    return Verdict(rule.category, rule.reason)
    return None
