"""Other wordings of a collected question, from templates: the same question, answer and worked steps, asked otherwise.

A variant names its parent, shares its split and its place in the mix, and is judged like any other row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from schemas.rows import Row

TEMPLATES = (
    "Question: {prompt}\nAnswer:",
    "Solve the following task.\n\n{prompt}",
    "{prompt}\nThink step by step, then give the answer.",
    "Here is a problem: {prompt}\nWhat is the answer?",
    "Please answer this question.\n{prompt}",
    "Q: {prompt}\nA:",
    "{prompt}\n\nWrite the final answer in a box.",
    "Work this out and box the result: {prompt}",
    "I need help with this: {prompt}",
    "Task\n----\n{prompt}",
    "Read carefully and answer.\n\n{prompt}\n\nYour answer:",
    "[problem] {prompt} [solution]",
    "Could you solve this for me? {prompt}",
    "Exercise. {prompt}",
    "{prompt}\nShow your work.",
    "Answer with the result in a box.\n{prompt}",
)
"""Frames around a question, as people put them around theirs."""


def variants(row: Row, n: int) -> Iterator[Row]:
    """The first `n` other wordings of a row that has a question and an answer."""
    if not (row.prompt and row.answer):
        return
    for number, template in enumerate(TEMPLATES[:n], start=1):
        core = f"{row.core} #{number}"
        # Of a sampled answer the parent is the puzzle, and so it is of its variants: that decides the split.
        yield replace(row, prompt=template.format(prompt=row.prompt), core=core, parent=row.parent or row.core)
