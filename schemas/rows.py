"""A row of a snapshot: what the data service writes and the trainer reads, with where it came from."""

from __future__ import annotations

from dataclasses import dataclass

UNGRADED = 0
"""Difficulty of a row that nobody has graded, such as a page of the web; such a row has wording 0."""


@dataclass(frozen=True)
class Row:
    """One row to train on. Two rows of a domain with the same core are the same row, however they are worded."""

    domain: str
    """Domain of the training mix."""
    difficulty: int
    """1 (easy), 2 or 3; `UNGRADED`."""
    wording: int
    """0 (terse, dev's), 1 or 2."""
    prompt: str
    """What the model reads, without the final line break; empty for a plain text, which is learnt whole."""
    answer: str
    """The answer that a verifier accepts; empty where there is none."""
    trace: str
    """The worked steps that lead to the answer; without an answer, the text that is learnt."""
    core: str
    """The content without its wording: what tells rows apart and decides the split."""
    source: str = "puzzles"
    """Name of the source."""
    uri: str = ""
    """Where it was found."""
    licence: str = ""
    """Its licence, as far as the source says."""
    sha256: str = ""
    """Hash of what was fetched, before it was read or cleaned."""
    parent: str = ""
    """Core of the row that this one was made from."""
    fetched_at: str = ""
    """When it was fetched, ISO 8601 in UTC; no part of the snapshot's hash."""

    def completion(self, *, traced: bool) -> str:
        """What the model is trained to write: the trace if wanted, then the boxed answer; a plain text as it is."""
        if not self.answer:
            return self.trace
        boxed = f"\\boxed{{{self.answer}}}"
        return f"{self.trace} {boxed}" if traced and self.trace else boxed
