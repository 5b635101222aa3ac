"""The documents of a list of tasks as training data could hold them: question and right answer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from schemas.tasks import TaskList
from services.oracle.harness.lists import load_tasks


def documents(listed: TaskList, *, run_code: bool) -> Iterator[list[str]]:
    """The texts of each task of a list. Raises `TaskRefused` or `CodeRefused`."""
    for task in load_tasks(listed, run_code=run_code).values():
        end = listed.first + listed.limit if listed.limit else None
        yield [_text(task, document) for document in islice(task.eval_docs, listed.first, end)]


def _text(task: Any, document: Any) -> str:
    prompt, target = task.doc_to_text(document), task.doc_to_target(document)
    if isinstance(target, int) and task.config.doc_to_choice is not None:
        target = task.doc_to_choice(document)[target]
    return f"{prompt} {target}"
