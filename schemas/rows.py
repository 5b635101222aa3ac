"""A row of a snapshot, with its provenance: the data service writes it and the trainer reads it."""

from __future__ import annotations

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

    def completion(self, *, traced: bool) -> str:
        """The training target: the trace (if `traced`), then the boxed answer; a plain text unchanged."""
        if not self.answer:
            return self.trace
        boxed = f"\\boxed{{{self.answer}}}"
        return f"{self.trace} {boxed}" if traced and self.trace else boxed
