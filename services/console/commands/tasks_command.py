"""`aevolve tasks`: the lm-eval tasks that a campaign file names, loaded before the campaign starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from schemas.campaign import Constitution
from schemas.tasks import TaskList
from services.console.campaign_file import load
from services.runtime.user_error import UserError


def tasks(file: Path) -> None:
    """Print each task with its items. Raises `UserError` where one cannot be measured as the file asks."""
    law = load(file).constitution
    lists = dict(_lists(law))
    if not lists:
        typer.echo(f"{file}: names no tasks; the target is the oracle's sealed set, and there are no guards")
    for field, listed in lists.items():
        typer.echo("\n".join(_told(file, field, listed, run_code=law.run_code)))


def _lists(law: Constitution) -> Iterator[tuple[str, TaskList]]:
    yield from ((f"target ({kind})", listed) for kind, listed in law.lists.items())
    yield from ((f"guard {guard.name}", guard) for guard in law.guards)


def _told(file: Path, field: str, listed: TaskList, *, run_code: bool) -> Iterator[str]:
    try:
        from services.oracle.harness.lists import load_tasks  # noqa: PLC0415 - loads torch
    except ModuleNotFoundError as missing:
        raise UserError(f"{missing.name} is not installed: pip install 'aevolve[trainer]'") from missing
    from services.oracle.job import CodeRefused, TaskRefused  # noqa: PLC0415

    try:
        loaded = load_tasks(listed, run_code=run_code)
    except (TaskRefused, CodeRefused) as refused:
        raise UserError(f"{file}: {field}: {refused}") from refused
    for score in listed.tasks:
        task = loaded[score.name]
        items = min(len(task.eval_docs), listed.limit or len(task.eval_docs))
        shots = task.get_config("num_fewshot")
        yield f"{field}: {score.task} {task.VERSION}, {score.metric}, {items:,} items, {shots} solved examples"
