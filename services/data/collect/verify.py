"""Drops a row whose answer the scorer rejects or whose worked steps are wrong.

The challenge's scorer must find a row's stated answer in its training target; in a campaign with suites, the suite's
scorer must give it full marks. Worked steps are checked if they can be computed.
"""

from __future__ import annotations

from schemas.rows import Row
from services.data.collect.arithmetic import wrong_steps
from services.data.filters.filter import Dropped
from services.data.sources.suites import FULL_MARKS
from tasks.puzzles.draw import FAMILIES
from tasks.puzzles.scorer import correct
from tasks.split import split_of

NAME = "verifier"
"""Filter name of these drops."""


def scored(row: Row, score: float | None, *, sampled: bool = False) -> Dropped | None:
    """The reason to drop a row by its suite's score; none if it is right, or if no scorer applies.

    The steps of a `sampled` row are checked by its source.
    """
    if score is not None and score < FULL_MARKS:
        return Dropped(NAME, "unverified", f"score {score:.3g}")
    if not sampled and (wrong := next(wrong_steps(row.trace), None)):
        return Dropped(NAME, "wrong_step", wrong)
    return None


def verified(row: Row, *, sampled: bool = False) -> Dropped | None:
    """The reason to drop a row; none if it is correct or states no answer.

    A `sampled` row answers a puzzle: its core must be in the train split, and its steps are checked by its source.
    """
    if not row.answer:
        return None
    if not correct(row.prompt, row.completion(traced=True), row.answer):
        return Dropped(NAME, "unverified")
    if sampled and not _is_train(row):
        return Dropped(NAME, "split")
    if not sampled and (wrong := next(wrong_steps(row.trace), None)):
        return Dropped(NAME, "wrong_step", wrong)
    return None


def _is_train(row: Row) -> bool:
    """Whether a row's puzzle is in the train split."""
    return row.domain in FAMILIES and split_of(row.domain, row.parent or row.core) == "train"
