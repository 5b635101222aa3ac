"""The receipt of a list of tasks: what the model gave for every item, and what the metric made of it.

One JSON line per item. The items are lm-eval's and no secret, so a line names its item by number and hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pydantic import Field

from judgement.statistics import combined, mean_score
from schemas.base import Frozen, Name, Sha256, Share
from schemas.scores import Scores
from schemas.tasks import Word


class Record(Frozen):
    """One item of a receipt."""

    suite: Name
    """`external`, `final`, or the name of a guard."""
    task: Word
    """Name of the task's score in its list."""
    item: int = Field(ge=0)
    """Number of the item in the task."""
    document: Sha256
    """Hash of the item, by lm-eval."""
    prompt: Sha256
    """Hash of all that the model read before its answer, solved examples included."""
    outputs: Any
    """After the task's filter: texts, or for each choice its log-likelihood and whether it is the likeliest text."""
    value: Share
    """The metric's value."""


def count(records: Iterable[Record]) -> dict[str, Scores]:
    """Scores by suite: the mean over its tasks of the means over their items."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        values[record.suite][record.task].append(record.value)
    return {
        suite: combined({task: mean_score(items) for task, items in tasks.items()}) for suite, tasks in values.items()
    }
