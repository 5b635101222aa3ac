"""The words a tokenizer should know whole; everything else in a puzzle is single characters."""

from __future__ import annotations

import re

from tasks.puzzles.draw import FAMILIES

_WORD = re.compile(r"(?<![{\w])[A-Za-z][a-z']+(?![\w}])")
"""At least two letters and no field of a format."""


def vocabulary() -> list[str]:
    """Words of all templates and traces, and the two halves of the answer's box, sorted."""
    texts = [
        text
        for family in FAMILIES.values()
        for text in (*family.words, *(part for w in family.wordings for part in (w.question, w.example, w.joint)))
    ]
    return sorted({word for text in texts for word in _WORD.findall(text)} | {"\\boxed{", "}"})
