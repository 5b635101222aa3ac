"""What helps to hurt people: a lexicon read in context, not a model; what it catches is measured (docs/guides/data.md).

A sentence is unsafe where it names a means of harm and asks for it or tells how: the word alone drops nobody, so that
news, history, medicine and warnings stay. English alone. The lexicon is our own: `safety.yaml`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.rows import Row
from services.data.filters.filter import Dropped, text_of
from services.data.filters.safety_rules import ANYTHING, PROTECTIVE, RULES, SUSPECT, Rule

SENTENCE = re.compile(r"\w[^.!?\n]*")
"""From its first word on, whatever mark or quote is before."""


@dataclass(frozen=True)
class Verdict:
    """Why a text is unsafe."""

    category: str
    """What kind of harm."""
    reason: str
    """Which rule, in words; never the text itself."""


class Safety:
    """Drops a row with an unsafe sentence; the reason is the category, the detail the rule."""

    name = "safety"

    def judge(self, row: Row) -> Row | Dropped:
        """The row, where nothing in it is unsafe."""
        verdict = unsafe(text_of(row))
        return Dropped(self.name, verdict.category, verdict.reason) if verdict else row


def unsafe(text: str) -> Verdict | None:
    """The verdict on a text; None where it is safe as far as the rules see."""
    lowered = text.lower()
    if not SUSPECT.search(lowered):
        return None
    for sentence in SENTENCE.findall(lowered):
        if SUSPECT.search(sentence):
            for rule in RULES:
                if _breaks(rule, sentence):
                    return Verdict(rule.category, rule.reason)
    return None


def _breaks(rule: Rule, sentence: str) -> bool:
    if not (rule.means.search(sentence) and rule.cue.search(sentence)):
        return False
    return rule.cue is ANYTHING or not PROTECTIVE.search(sentence)
