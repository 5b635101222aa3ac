"""The first hour with one's own model, data and metric: init, try, fetch."""
# ruff: noqa: PLC0415 - `aevolve --help` imports this module

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.runtime.user_error import UserError

group = typer.Typer()


@group.command()
def init(
    model: Annotated[str | None, typer.Option(help="Folder or hub id of the base model.")] = None,
    train: Annotated[Path | None, typer.Option(help="File of training rows: JSONL, JSON, CSV, Parquet.")] = None,
    eval_: Annotated[
        Path | None,
        typer.Option("--eval", help="File of evaluation items.", show_default="a part of --train"),
    ] = None,
    target: Annotated[
        Path | None, typer.Option(help="File of the target's items.", show_default="a part of --eval")
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(help="numeric, exact, choice, ... or FILE.py:function.", show_default="by the answers"),
    ] = None,
    domain_column: Annotated[str | None, typer.Option(help="Column that names each row's domain.")] = None,
    prompt_column: Annotated[str | None, typer.Option(help="Column of the question.", show_default="detected")] = None,
    answer_column: Annotated[str | None, typer.Option(help="Column of the answer.", show_default="detected")] = None,
    trace_column: Annotated[
        str | None, typer.Option(help="Column of the worked steps.", show_default="detected")
    ] = None,
    answer_pattern: Annotated[
        str | None, typer.Option(help=r"Regular expression that cuts the answer out of its column, as '####\s*(.+)'.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Campaign file to write.", show_default="campaign.yaml above the files")
    ] = None,
) -> None:
    """Write a campaign file for your own model, rows and metric; asks for what the options leave out."""
    from services.console.first_campaign import Answers, common_folder, write

    model = model or _ask("--model", "Base model (folder or hub id)")
    train = train or Path(_ask("--train", "File of training rows"))
    if eval_ is None and sys.stdin.isatty():
        named = typer.prompt("File of evaluation items (empty: a part of the training file)", default="")
        eval_ = Path(named) if named else None
    answers = Answers(
        model=model,
        train=train,
        eval=eval_,
        target=target,
        score=score,
        domain_column=domain_column,
        prompt_column=prompt_column,
        answer_column=answer_column,
        trace_column=trace_column,
        answer_pattern=answer_pattern,
    )
    files = [file for file in (train, eval_, target) if file]
    place = out or common_folder(files) / "campaign.yaml"
    for remark in write(answers, place):
        typer.echo(f"note: {remark}")
    typer.echo(f"wrote {place}")
    typer.echo(f"next: aevolve try {place}   (the base on a few items), then: aevolve run {place}")


def _ask(option: str, question: str) -> str:
    if not sys.stdin.isatty():
        raise UserError(f"{option}: missing; give it")
    return str(typer.prompt(question))


@group.command()
def fetch(
    model: Annotated[str, typer.Argument(metavar="ID", help="Id of a model on the Hugging Face hub.")],
    revision: Annotated[str | None, typer.Option(help="Commit, tag or branch.", show_default="main")] = None,
) -> None:
    """Bring a model of the Hugging Face hub to this machine, weights as safetensors alone."""
    from services.console.fetch_model import fetch_model

    typer.echo(f"{model} is in {fetch_model(model, revision)}")


@group.command("try")
def try_(
    campaign: Annotated[Path, typer.Argument(metavar="CAMPAIGN.yaml", help="Campaign file.")],
    items: Annotated[int, typer.Option(min=1, max=50, help="Items of each domain.")] = 2,
    kind: Annotated[str, typer.Option("--set", help="dev, confirm, target or final.")] = "dev",
) -> None:
    """Ask the base model a few items and show prompt, answer, verdict and tokens; starts and charges nothing."""
    from services.console.campaign_file import load
    from services.console.try_model import shown

    for text in shown(load(campaign, note=lambda remark: typer.echo(f"note: {remark}")), campaign, kind, items):
        typer.echo(text)
