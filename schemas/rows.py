"""A row of a snapshot, with its provenance: the data service writes it and the trainer reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass

UNGRADED = 0
"""Difficulty of a row without a grade, such as a web page; such a row has wording 0."""


@dataclass(frozen=True)
class Row:
    """One training row. Two rows of a domain with the same core are the same row, however they are worded."""

    domain: str
    """Domain of the training mix."""
    difficulty: int
    """1 (easy), 2 or 3; `UNGRADED`."""
    wording: int
    """0 (terse, dev's), 1 or 2."""
    prompt: str
    """The model's input, without the final line break; empty for a plain text, which is learnt whole."""
    answer: str
    """The answer that a verifier accepts; empty for a plain text."""
    trace: str
    """The worked steps that lead to the answer; without an answer, the text that is learnt."""
    core: str
    """The content without its wording: it identifies the row and decides its split."""
    source: str = "puzzles"
    """Name of the source."""
    uri: str = ""
    """Origin of the row."""
    licence: str = ""
    """Its licence, if the source states one."""
    sha256: str = ""
    """Hash of the fetched bytes, before extraction and cleaning."""
    parent: str = ""
    """Core of the row that this one was derived from."""
    fetched_at: str = ""
    """When it was fetched, ISO 8601 in UTC; not part of the snapshot's hash."""
    form: str = ""
    """Form of the training target, with `{trace}` and `{answer}`, such as `{trace}\n#### {answer}`; empty for the
    puzzles' form, the trace and the boxed answer."""
    messages: str = ""
    """A conversation as a JSON list of `role` and `content`: its assistant turns are learnt. Prompt and trace are then
    the text of the turns before the last one and of the last one."""
    rejected: str = ""
    """The worse answer of a preference pair; the better one is the training target."""
    columns: str = ""
    """Further columns of the record, a JSON object: the scorers get them."""

    def completion(self, *, traced: bool) -> str:
        """The training target in the row's form: with the worked steps if `traced`, else with the answer alone.

        A row without an answer is learnt as it is.
        """
        if not self.answer:
            return self.trace
        if self.form:
            return filled(self.form, self.trace if traced or not self.needs_answer else "", self.answer)
        boxed = f"\\boxed{{{self.answer}}}"
        return f"{self.trace} {boxed}" if traced and self.trace else boxed

    @property
    def needs_answer(self) -> bool:
        """Whether the form states the answer; a form without it is the completion as the user wrote it."""
        return "{answer}" in self.form


def filled(form: str, trace: str, answer: str) -> str:
    """A form with its steps and its answer; without steps the blanks that separated them are removed, too."""
    parts = (part.replace("{trace}", trace) for part in form.split("{answer}"))
    return answer.join(parts).strip()


COMMAND = re.compile(r"\\[A-Za-z]+(\{[^{}]*\})+")
"""A command of LaTeX with its arguments, whose braces are no placeholders."""

PLACEHOLDER = re.compile(r"(?<![\\^_])\{\s*(\w*)\s*(?:[!:.\[][^{}\0]*)?\}")
"""What was meant as a placeholder: a name, a position or nothing, perhaps with a format."""


def form_mistake(form: str) -> str:
    """What is wrong with a form of a training target; empty if nothing is. Other braces may stand in it."""
    rest = form.replace("{trace}", "\0").replace("{answer}", "\0")
    if unknown := PLACEHOLDER.search(COMMAND.sub("", rest)):
        return f"{unknown[0]} is no placeholder; known, without a format: {{trace}}, {{answer}}"
    if form and rest == form:
        return "it has neither {answer} nor {trace}; add one of them"
    return ""
