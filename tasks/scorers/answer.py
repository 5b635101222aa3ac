"""The parts of a completion that may be its answer, best first, and the answer in a worked reference."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.puzzles.scorer import BOXES, closings, is_word, without_prompt
from tasks.scorers.child_process import last_match
from tasks.scorers.scorer import Scorer, Scores, regular_expression

LONGEST_SENTENCE = 1000
"""Longest sentence after "the answer is" that is read, in characters."""

HASH = "####"
ANNOUNCED = re.compile(
    r"\b(?:answers?|(?:correct|right|best)[ ](?:option|choice))\b[ \t*_]{0,4}"
    r"(?:(?:is|are|was|(?:would|should|must)[ ]be)\b|[:=\uff1a])[ \t*_]{0,4}:?",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"(?:(?<=\w\w\w\w)|(?<=[0-9)\]}*$]))[.!?](?=\s+[A-Z])")
LAST_ANNOUNCED = 8
"""How many announcements are tried, latest first: "I hope that this answer is helpful" may follow the answer."""


@dataclass(frozen=True)
class Part:
    """A part of a completion that may be its answer."""

    text: str
    kind: str
    """`boxed`, `announced`, `hash`, `line`, `text` (no marker: all of it) or `given` (cut out as the user defined)."""


def _reply(prompt: str, completion: str) -> str:
    """A completion without repetitions of the prompt; empty if it is no more than the beginning of the prompt.

    A beginning of less than half of the prompt may be an answer: "Paris" to "Paris or Rome: which is in Italy?".
    """
    prompt, completion = prompt.strip(), completion.strip()
    if prompt.startswith(completion) and 2 * len(completion) + 1 >= len(prompt):
        return ""
    return without_prompt(prompt, completion).strip()


def at_edges(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` starts and ends at the edge of a word or sign."""
    left = start == 0 or not (is_word(text[start]) and is_word(text[start - 1]))
    return left and (end == len(text) or not (is_word(text[end - 1]) and is_word(text[end])))


def last_line(text: str) -> str:
    """Its last line that is not empty, without surrounding white space."""
    return text.strip().rpartition("\n")[2].strip()


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()


def _after_hash(text: str) -> str:
    return text.rpartition(HASH)[2].strip() if HASH in text else ""


def _last_box(text: str) -> str:
    """Content of the last box that is not empty; one without its closing brace ends with its line."""
    starts = [match.end() for match in BOXES.finditer(text)]
    for start, end in reversed(list(zip(starts, closings(text, starts), strict=True))):
        if content := text[start:end].strip():
            return content
    return ""


def _announced(text: str) -> list[Part]:
    """Sentences after "the answer is", "Answer:" and the like, latest first."""
    parts = []
    for match in list(ANNOUNCED.finditer(text))[: -LAST_ANNOUNCED - 1 : -1]:
        line = _first_line(text[match.end() : match.end() + LONGEST_SENTENCE])
        end = SENTENCE_END.search(line)
        parts.append(Part(line[: end.start()] if end else line, "announced"))
    return [part for part in parts if part.text]


def _auto(text: str) -> list[Part]:
    scope = _after_hash(text)
    if box := _last_box(scope or text):
        return [Part(box, "boxed")]
    end = [Part(_first_line(scope), "hash")] if scope else [Part(text, "text")]
    return [*_announced(scope or text), *end]


def _between_tags(name: str) -> Callable[[str], str]:
    def extract(text: str) -> str:
        _, start, rest = text.rpartition(f"<{name}>")
        return rest.partition(f"</{name}>")[0].strip() if start else ""

    return extract


class Answer:
    """Option `answer`: which part of a completion is its answer."""

    SIMPLE: Mapping[str, tuple[str, Callable[[str], str]]] = {
        "whole": ("given", str.strip),
        "last_line": ("line", last_line),
        "hash": ("hash", lambda text: _first_line(_after_hash(text))),
        "boxed": ("boxed", _last_box),
    }

    def __init__(self, option: Any) -> None:
        names = ", ".join(("auto", *self.SIMPLE))
        option = option if isinstance(option, str) else ""
        self._mode, colon, detail = option.partition(":")
        self._kind, self._extract = self.SIMPLE.get(option, ("given", str.strip))
        if self._mode == "tag" and re.fullmatch(r"[\w-]+", detail):
            self._extract = _between_tags(detail)
        elif self._mode == "regex" and colon:
            pattern = regular_expression(detail)
            self._extract = lambda text: (last_match(pattern, text) or "").strip()
        elif option != "auto" and option not in self.SIMPLE:
            raise ValueError(f"use one of {names}, tag:NAME, regex:PATTERN")

    def parts(self, text: str) -> list[Part]:
        """Candidates for the answer, best first; empty if there is none."""
        if self._mode == "auto":
            return _auto(text)
        part = self._extract(text)
        return [Part(part, self._kind)] if part else []

    def stored(self, reference: str) -> str:
        """The reference answer, cut out of worked text where a data set stores that (`#### 48`, a box)."""
        if self._mode not in ("auto", "hash", "boxed"):
            return reference.strip()
        return _first_line(_after_hash(reference)) or _last_box(reference) or reference.strip()


Judge = Callable[[str, str], bool | None]


def scorer_of(judge: Judge) -> Scorer:
    """A scorer that asks `judge(completion without the prompt, reference)` about each completion.

    It does not apply to an empty reference, and an empty completion or a repeated prompt scores 0.
    """

    def score(prompts: Sequence[str], completions: Sequence[str], *, answer: Sequence[str], **columns: Any) -> Scores:
        scores: Scores = []
        for prompt, completion, reference in zip(prompts, completions, answer, strict=True):
            verdict = judge(_reply(prompt, completion), reference) if reference.strip() else None
            scores.append(None if verdict is None else float(verdict))
        return scores

    return score
