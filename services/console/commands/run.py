"""Run the system on this machine: demo, up, serve."""
# ruff: noqa: PLC0415 - `aevolve --help` imports this module

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.console.commands.options import Out
from services.console.paths import DEFAULT_RUN, DEMO_CAMPAIGN
from services.runtime.user_error import UserError, nearest

if TYPE_CHECKING:
    from services.console.embedded.run_folder import RunFolder

PAGE_PORT = 8787
"""Port of the web page unless --port names another or it is taken."""

group = typer.Typer()


Candidates = Annotated[int | None, typer.Option(help="Candidates per round; overrides the file.")]
Rounds = Annotated[int | None, typer.Option(help="Rounds; overrides the file.")]
Seed = Annotated[int | None, typer.Option(help="Seed; overrides the file.")]
Base = Annotated[Path | None, typer.Option(help="Folder of a Hugging Face causal LM; overrides the file.")]
NullTwin = Annotated[
    bool, typer.Option("--null-twin", help="Draw the target from dev's distribution, so that there is no drift.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the campaign that the folder holds.")]


@group.command()
def demo(
    out: Out = DEFAULT_RUN,
    campaign: Annotated[Path, typer.Option(help="Campaign file.", show_default="the demo's")] = DEMO_CAMPAIGN,
    candidates: Candidates = None,
    rounds: Rounds = None,
    seed: Seed = None,
    base: Base = None,
    null_twin: NullTwin = False,
    resume: Resume = False,
) -> None:
    """Run the demo's campaign on this machine: `aevolve run` with the demo's campaign file.

    In a folder with a finished campaign a new one is added to the same log; an unfinished one needs --resume.
    """
    overrides = _overrides(candidates, rounds, seed, base, null_twin=null_twin)
    run_campaign("demo", campaign, out, overrides, resume=resume)


@group.command("run")
def run_file(
    campaign: Annotated[Path, typer.Argument(metavar="CAMPAIGN.yaml", help="Campaign file.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run.", show_default="runs/ and the campaign file's name")
    ] = None,
    candidates: Candidates = None,
    rounds: Rounds = None,
    seed: Seed = None,
    base: Base = None,
    null_twin: NullTwin = False,
    resume: Resume = False,
) -> None:
    """Run a whole campaign on this machine: database, broker, services, training, report.

    In a folder with a finished campaign a new one is added to the same log; an unfinished one needs --resume.
    """
    overrides = _overrides(candidates, rounds, seed, base, null_twin=null_twin)
    place = out or DEFAULT_RUN.parent / default_run_name(campaign)
    run_campaign(f"run {campaign}", campaign, place, overrides, resume=resume)


def _overrides(
    candidates: int | None, rounds: int | None, seed: int | None, base: Path | None, *, null_twin: bool
) -> dict[str, Any]:
    """The options that take the place of values of the campaign file; None for those that were left out."""
    return {
        "candidates": candidates,
        "rounds": rounds,
        "seed": seed,
        "null_twin": null_twin or None,
        "base": str(base) if base else None,
    }


def default_run_name(campaign: Path) -> str:
    """Name of a campaign's run folder: the file's, or that of its folder where the file is called `campaign.yaml`."""
    return campaign.absolute().parent.name if campaign.stem == "campaign" else campaign.stem


def run_campaign(command: str, campaign: Path, out: Path, overrides: dict[str, Any], *, resume: bool) -> None:
    """Run a campaign file to its report, or until a signal; `command` continues it with --resume."""
    from rich.console import Console

    from services.console.embedded.demo import plan, run
    from services.console.embedded.run_folder import RunFolder, as_user_errors
    from services.console.signals import Interrupted
    from services.console.signals import run as run_until_signal
    from services.console.view.screen import Screen

    folder, console = RunFolder(out), Console()
    try:
        with as_user_errors(folder), folder.lock() as lock:
            record = plan(folder, campaign, overrides, resume=resume, note=lambda text: console.print(f"note: {text}"))
            with Screen(console) as screen:
                history = run_until_signal(run(folder, record, lock, screen))
    except Interrupted as interrupted:
        typer.echo(f"aevolve: {interrupted}; continue with: aevolve {command} --out {out} --resume", err=True)
        raise typer.Exit(interrupted.status) from None
    console.print(f"report: {out / 'report.md'}, {out / 'report.json'}, {out / 'report.png'}", soft_wrap=True)
    raise typer.Exit(0 if history.finished and history.finished.reason == "complete" else 1)


@group.command()
def up(
    out: Out = DEFAULT_RUN,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port of the web page.", show_default="8787, or a free one"),
    ] = None,
) -> None:
    """Run the embedded database, broker, services and web page, without a campaign, until Ctrl-C."""
    from services.console.embedded.run_folder import RunFolder, as_user_errors
    from services.console.signals import Interrupted, run

    folder = RunFolder(out)
    try:
        with as_user_errors(folder), folder.lock() as lock:
            run(_serve_all(folder, lock, _page_port(port)))
    except Interrupted:
        raise typer.Exit(0) from None


def _page_port(port: int | None) -> int:
    """The port that was given, else the default one, else a free one."""
    import socket

    from services.runtime.ports import free_ports

    for candidate in (PAGE_PORT, *free_ports(1)) if port is None else (port,):
        try:
            with socket.create_server(("127.0.0.1", candidate)) as opened:
                return int(opened.getsockname()[1])
        except OSError as error:
            failure = error
    raise UserError(f"--port: {port}; {failure.strerror}: give another, or leave it out") from failure


async def _serve_all(folder: RunFolder, lock: int, port: int) -> None:
    from importlib.util import find_spec

    from services.console.embedded.system import Embedded

    async with Embedded(folder, lock, port if find_spec("starlette") else None) as system:
        if system.page is None:
            typer.echo("no web page: pip install 'aevolve[console]'")
        else:
            typer.echo(f"the page: http://127.0.0.1:{port}/")
        for name, number in system.ports.items():
            typer.echo(f"{name:8} http://127.0.0.1:{number}/health  /metrics  /docs   log: {folder.log(name)}")
        typer.echo(f"start a campaign with: aevolve start CAMPAIGN.yaml --run {folder.root}")
        await system.supervise()


@group.command()
def serve(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="data, recipes, trainer, oracle or policy.")],
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Run this many of its long jobs, one at a time, and end.")
    ] = None,
) -> None:
    """Run one service in this process, with the settings of the environment (AEVOLVE_*).

    With --jobs it handles no events and needs no Kafka; it also ends if no job comes for AEVOLVE_IDLE_SECONDS.
    """
    import importlib

    from schemas.registry import SERVICES
    from services.console.client import settings_from_environment
    from services.runtime.jobs.run_jobs import main

    names = [name for name in SERVICES if name != "console"]
    if service not in names:
        raise UserError(f"SERVICE: {service!r} is not a service; {nearest(service, names)}")
    settings_from_environment()  # reports a wrong value before anything starts
    app = importlib.import_module(f"services.{service}.app")
    if jobs is None:
        app.main()
    elif app.SERVICE.jobs:
        main(app.SERVICE, jobs)
    else:
        raise UserError(f"--jobs: {jobs}; the service {service!r} has no long jobs: leave the option out")
