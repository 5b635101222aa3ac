"""The scorer `choice`: the letter of a multiple-choice question, or the text of its option."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.scorers.answer import LONGEST_SENTENCE, Answer, Part, scorer_of
from tasks.scorers.scorer import Scorer, Scores, read_options
from tasks.scorers.text import normal, plain

LETTERS = "ABCDEFGHIJ"
BARE = re.compile(r"(?:A:)?[\s*(\[{$]*(?:\\(?:text|mathrm|mathbf|textbf)\{)?[(\[]?([A-Ja-j])[\s*)\]}.:,$]*")
LABELLED = re.compile(r"[*]{0,2}(?:[(\[]([A-Ja-j])[)\]]|([A-J])[).]|([B-HJ]):)[*]{0,2}(?=\s|$)")
SPOKEN = re.compile(
    r"[*]{0,2}(?:\\(?:text|mathrm|mathbf|textbf)\{)?(?:(?:option|choice|letter)\s)?(?:[(\[]([A-Ja-j])[)\]]|([A-J])[*]{0,2}(?=[).:,;]|$|\s+(?:because|since|as|"
    r"due|which|is|was|and)\b)|([B-HJ])(?![\w+#]))"
)
MENTIONED = re.compile(r"[(\[]([A-J])[)\]]|\b(?:[Oo]ption|[Cc]hoice)\s([A-J])(?!\w)")


def _letter(match: re.Match[str] | None) -> str:
    return next((group.upper() for group in match.groups() if group), "") if match else ""


def _choices(column: Any) -> tuple[list[str], list[str]]:
    """Labels and texts of the options: a list, JSON of one, or `{label: [...], text: [...]}` as ARC has it."""
    if isinstance(column, str):
        try:
            column = json.loads(column)
        except (ValueError, RecursionError):
            return [], []
    if isinstance(column, Mapping):
        texts = [str(text) for text in column.get("text", ())]
        return [str(label) for label in column.get("label", LETTERS[: len(texts)])], texts
    texts = [str(text) for text in column] if isinstance(column, Sequence) else []
    return list(LETTERS[: len(texts)]), texts


def _of_text(text: str, labels: list[str], texts: list[str]) -> str:
    """The letter of the option whose text or label is `text`, or an empty string."""
    normalized = normal(plain(text), ignore_case=True, ignore_punctuation=False)
    options = [normal(plain(option), ignore_case=True, ignore_punctuation=False) for option in texts]
    for names in (labels, options):
        if normalized and normalized in names:
            return LETTERS[names.index(normalized)] if names.index(normalized) < len(LETTERS) else ""
    return ""


def _stored_letter(reference: str, labels: list[str], texts: list[str]) -> str:
    letter = _letter(BARE.fullmatch(reference)) or _of_text(reference, labels, texts)
    return letter or _letter(LABELLED.match(reference.strip()))


def _chosen(part: Part, labels: list[str], texts: list[str]) -> str:
    """The letter that a part of a completion chooses, or an empty string.

    An "A" counts only as a label, not as an article. Where several letters are mentioned without a marker, none counts.
    """
    text = part.text.strip()
    if letter := _letter(BARE.fullmatch(text[:LONGEST_SENTENCE])) or _of_text(text, labels, texts):
        return letter
    if part.kind != "text":
        return _letter(SPOKEN.match(text))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in (lines[0], lines[-1]):
        if letter := _letter(BARE.fullmatch(line[:LONGEST_SENTENCE])) or _of_text(line, labels, texts):
            return letter
    labelled = {_letter(LABELLED.match(line)) for line in lines} - {""}
    letters = labelled or {_letter(match) for match in MENTIONED.finditer(text)}
    return letters.pop() if len(letters) == 1 else ""


def choice(**options: Any) -> Scorer:
    """The same letter A to J of a multiple-choice question; option `answer`.

    The column `choices` (a list of texts, or JSON of one) makes the text of an option as good as its letter. The scorer
    does not apply to a reference that is neither a letter nor an option's text.
    """
    answer: Answer = read_options("choice", options, answer=("auto", Answer))["answer"]

    def judge(text: str, reference: str, column: Any) -> bool | None:
        labels, texts = _choices(column)
        stored = _stored_letter(answer.stored(reference), labels, texts)
        chosen = (_chosen(part, labels, texts) for part in answer.parts(text) if part.text.strip())
        return next(filter(None, chosen), "") == stored if stored else None

    def score(prompts: Sequence[str], completions: Sequence[str], *, answer: Sequence[str], **columns: Any) -> Scores:
        choices = columns.get("choices") or [None] * len(answer)
        scores: Scores = []
        for prompt, completion, reference, column in zip(prompts, completions, answer, choices, strict=True):
            judged = scorer_of(lambda text, stored, column=column: judge(text, stored, column))  # type: ignore[misc]
            scores += judged([prompt], [completion], answer=[reference])
        return scores

    return score
