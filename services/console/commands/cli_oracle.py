"""The options of the commands about what the oracle measures: tasks beforehand, scores and queries afterwards."""
# ruff: noqa: PLC0415 - as in `services.console.cli`

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

oracle = typer.Typer()


@oracle.command()
def tasks(
    file: Annotated[Path, typer.Argument(metavar="CAMPAIGN.yaml", help="Campaign file.")],
) -> None:
    """Load the lm-eval tasks that a campaign file names, fetch their data sets, and say what would be asked."""
    from services.console.commands import tasks_command

    tasks_command.tasks(file)


@oracle.command()
def rescore(
    campaign: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Campaign id; `aevolve status` lists them.")],
    candidate: Annotated[str | None, typer.Argument(help="Candidate id, or `base`; all where left out.")] = None,
    kind: Annotated[str | None, typer.Option(help="dev, confirm, external, final or guards; else all.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A log.jsonl, in place of a live log.")] = None,
    key: Annotated[Path | None, typer.Option(help="File with the oracle's key: outputs are then judged again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    folder: Annotated[Path | None, typer.Option("--run", help="Folder of an embedded run, alive or not.")] = None,
) -> None:
    """Compute recorded scores again from their receipts; exit status 1 where one differs or has no receipt."""
    from services.console.cli import run
    from services.console.commands import rescore_command

    raise typer.Exit(run(rescore_command.rescore(campaign, candidate, kind, file, folder, key, as_json=as_json)))


@oracle.command()
def exposure(
    campaign: Annotated[str | None, typer.Argument(help="Campaign id; the last one where left out.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A log.jsonl, in place of a live log.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--run", help="Folder of an embedded run (`up`, `demo`) to talk to.")
    ] = None,
) -> None:
    """Print every query of a hidden set: about whom, when, how many are left, and what came of it."""
    from services.console.cli import run
    from services.console.commands import exposure_command

    run(exposure_command.exposure(campaign, file, folder, as_json=as_json))
