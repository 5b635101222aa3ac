"""What the commands share: options, and how an async function becomes a command."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Coroutine[Any, Any, int | None]])

Run = Annotated[Path | None, typer.Option("--run", help="Folder of an embedded run (`up`, `demo`).")]
Out = Annotated[Path, typer.Option("--out", help="Folder of the run.")]
LogFile = Annotated[Path | None, typer.Option("--file", help="Read this log.jsonl instead of a live log.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CampaignId = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Campaign id; `aevolve status` lists them.")]
OneCampaign = Annotated[str | None, typer.Option(help="Campaign id.", show_default="the last one")]


def command(group: typer.Typer, name: str | None = None) -> Callable[[Command], Command]:
    """Register an async function as a command; its result, if any, is the exit status."""

    def register(function: Command) -> Command:
        @wraps(function)
        def call(**options: Any) -> None:
            raise typer.Exit(run(function(**options)) or 0)

        group.command(name)(call)
        return function

    return register


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of the work; a signal cancels it and sets the exit status."""
    from services.console import signals  # noqa: PLC0415 - `--help` needs no asyncio

    try:
        return signals.run(work)
    except signals.Interrupted as interrupted:
        raise typer.Exit(interrupted.status) from None
