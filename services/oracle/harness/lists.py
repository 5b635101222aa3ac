"""Lists of lm-eval tasks: found by name, and refused before anything runs where the list asks what they cannot give."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager

from schemas.tasks import TaskList, TaskScore
from services.oracle.harness.code_tasks import sandboxed
from services.oracle.harness.plain import functions, read
from services.oracle.job import TaskRefused
from services.runtime.folders import FolderRefused, task_folder
from services.runtime.settings import Settings

SEED = 1234
"""Of the choice of solved examples; lm-eval's own default."""

REMEDY = "give every item choices that are not empty, and as its right one a number from 0 or one of their texts"


def load_tasks(listed: TaskList, *, run_code: bool) -> dict[str, Any]:
    """The tasks by their names in the list. Raises `TaskRefused` or `CodeRefused`.

    Data sets come from where a task says; a job asks no hub, so one of a hub must lie in the local cache.
    """
    place = _folder(listed)
    manager = _manager(listed, place)
    plain = {score.task: _plain(manager, score.task) for score in listed.tasks}
    ours = {name: _sandboxed(config, run_code=run_code) for name, config in plain.items() if runs_code(config)}
    with contextlib.chdir(place or Path.cwd()):
        loaded = {name: _load(manager, name, ours.get(name)) for name in plain}
        for name, task in loaded.items():
            _check_items(name, task, listed)
    return {score.name: _prepared(loaded[score.task], score) for score in listed.tasks}


def _folder(listed: TaskList) -> Path | None:
    if listed.include is None:
        return None
    try:
        return task_folder(listed.include, Settings())
    except FolderRefused as refused:
        raise TaskRefused(f"include: {refused}") from refused


def _manager(listed: TaskList, place: Path | None) -> Any:
    """Who knows the tasks; lm-eval's own thousands are indexed only where the folder has not got them all."""
    if place:
        own = TaskManager(include_path=str(place), include_defaults=False)
        if {score.task for score in listed.tasks} <= own.task_index.keys():
            return own
    return TaskManager(include_path=str(place) if place else None)


def _plain(manager: Any, name: str) -> dict[str, Any]:
    """What the task's file says, before the code beside it is imported."""
    if name not in manager.task_index:
        raise TaskRefused(
            f"tasks: {name!r} is neither in the folder `include` nor in lm-eval {version('lm-eval')}; "
            "`lm-eval ls tasks` lists its own"
        )
    if name not in manager.all_subtasks:
        raise TaskRefused(f"tasks: {name!r} is a group of tasks; name its tasks one by one")
    return read(manager.task_index[name].yaml_path)


def _sandboxed(config: dict[str, Any], *, run_code: bool) -> dict[str, Any]:
    ours = sandboxed(config, run_code=run_code)
    if named := list(functions(ours)):
        raise TaskRefused(
            f"tasks: {config['task']!r} runs code and has functions of its own in {_words(named)}, which are not "
            "imported; copy its file without them into the folder `include`, under another name"
        )
    return ours


def _load(manager: Any, name: str, ours: dict[str, Any] | None) -> Any:
    try:
        return ConfigurableTask(config=ours) if ours else manager.load([name])["tasks"][name]
    except OSError as error:  # also what `datasets` says of a hub that it cannot reach; its words may quote data
        raise TaskRefused(
            f"tasks: {name!r}: its data cannot be read ({type(error).__name__}); correct the paths in its file, or let "
            "`aevolve tasks` fetch it once, on the oracle's machine and with a network"
        ) from error
    except Exception as error:  # templates, functions and data of anybody; the error's words may quote data
        raise TaskRefused(
            f"tasks: {name!r}: lm-eval cannot read its first item ({type(error).__name__}); {REMEDY}"
        ) from error


def selected(task: Any, listed: TaskList) -> Iterator[tuple[int, Any]]:
    """The items of a task that a list takes, each with its number."""
    end = listed.first + listed.limit if listed.limit else None
    return islice(enumerate(task.eval_docs), listed.first, end)


def _check_items(name: str, task: Any, listed: TaskList) -> None:
    """Raise `TaskRefused` for an item of choices that has none or no right one: lm-eval would count it as wrong."""
    if task.OUTPUT_TYPE != "multiple_choice":
        return
    for number, document in selected(task, listed):
        try:
            fault = _fault(task, document)
        except Exception as error:  # templates, functions and data of anybody; the error's words may quote data
            raise TaskRefused(f"tasks: {name!r}: item {number}: {type(error).__name__}; {REMEDY}") from error
        if fault:
            raise TaskRefused(f"tasks: {name!r}: item {number} {fault}; {REMEDY}")


def _fault(task: Any, document: Any) -> str:
    """What is wrong with an item of choices; empty if nothing is."""
    choices = list(task.doc_to_choice(document))
    if not choices or any(str(choice) == "" for choice in choices):
        return "has no choices, or an empty one"
    right = task.doc_to_text(document) if task.multiple_input else task.doc_to_target(document)
    for one in right if isinstance(right, (list, tuple)) and right else (right,):
        if not (0 <= one < len(choices) if isinstance(one, int) else one in choices):
            return f"has {len(choices)} choices, and its right one is none of them"
    return ""


def runs_code(config: Any) -> bool:
    """Whether a task's configuration says that it runs what the model wrote."""
    metrics = [metric.get("metric") for metric in config.get("metric_list") or ()]
    return bool(config.get("unsafe_code")) or "code_eval" in metrics


def _prepared(task: Any, score: TaskScore) -> Any:
    """The task with the list's number of solved examples, once it is known to give the list's score."""
    if score.metric not in task.aggregation():
        raise TaskRefused(f"tasks: {score.task} has no metric {score.metric!r}; it has {_words(task.aggregation())}")
    if not task.higher_is_better().get(score.metric):
        raise TaskRefused(f"tasks: {score.task}: of {score.metric!r} less is better; choose a metric that should rise")
    if score.filter not in (filters := list(_filters(task))):
        raise TaskRefused(f"tasks: {score.task} has no filter {score.filter!r}; it has {_words(filters)}")
    if score.fewshot is not None or task.get_config("num_fewshot") is None:
        task.set_config("num_fewshot", score.fewshot or 0)
    task.set_fewshot_seed(SEED)
    return task


def _filters(task: Any) -> Iterator[str]:
    return (one.name for one in task._filters)  # noqa: SLF001 - lm-eval shows them only after a run


def _words(names: Any) -> str:
    return ", ".join(names)
