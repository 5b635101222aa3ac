"""The options of `aevolve model`."""
# ruff: noqa: PLC0415 - as in `services.console.cli`

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

model = typer.Typer(help="Take a trained model out of a campaign.", no_args_is_help=True)


@model.callback()
def group() -> None:
    """Keep the name of the only command."""


@model.command("export")
def export_model(
    campaign: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Campaign id; `aevolve status` lists them.")],
    candidate: Annotated[str | None, typer.Option(help="Candidate id.", show_default="the winner")] = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder for the merged model, which transformers loads as it is.")
    ] = None,
    package: Annotated[
        Path | None, typer.Option("--zip", metavar="FILE", help="New file for the adapter as a board takes it.")
    ] = None,
    max_rank: Annotated[int, typer.Option(min=1, help="Highest LoRA rank that the board takes.")] = 32,
    file: Annotated[Path | None, typer.Option("--file", help="A log.jsonl, in place of a live log.")] = None,
    folder: Annotated[Path | None, typer.Option("--run", help="Folder of an embedded run, alive or not.")] = None,
) -> None:
    """Write a candidate as a plain Hugging Face model, as a submission, or both; the log's hashes are checked."""
    from services.console.cli import run
    from services.console.commands import model_command

    run(model_command.export(campaign, candidate, out, package, max_rank, file, folder))
