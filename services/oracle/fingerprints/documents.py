"""The documents of a list of tasks as training data could hold them: question and right answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from schemas.tasks import TaskList
from services.oracle.harness.lists import load_tasks, selected


def documents(listed: TaskList, *, run_code: bool) -> Iterator[list[str]]:
    """The texts of each task of a list. Raises `TaskRefused` or `CodeRefused`."""
    for task in load_tasks(listed, run_code=run_code).values():
        yield [_text(task, document) for _, document in selected(task, listed)]


def _text(task: Any, document: Any) -> str:
    """Question and right answer; of a task with a choice of questions, the right question and its end."""
    choices = task.doc_to_choice(document) if task.config.doc_to_choice is not None else ()
    parts = (task.doc_to_text(document), task.doc_to_target(document))
    return " ".join(_spelt(part, choices) for part in parts)


def _spelt(part: Any, choices: Sequence[Any]) -> str:
    """A part of an item as text: a choice instead of its number, each of several, and nothing for none."""
    if isinstance(part, (list, tuple)):
        return " ".join(_spelt(one, choices) for one in part)
    if isinstance(part, int) and 0 <= part < len(choices):
        return str(choices[part])
    return "" if part is None else str(part)
