"""The commands that run the system on this machine: the demo, the embedded parts, one service, the examination."""

from __future__ import annotations

import importlib
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.registry import SERVICES
from services.console.client import from_environment
from services.console.commands import doctor as machine
from services.console.embedded import demo as campaign_run
from services.console.embedded.run_folder import RunFolder
from services.console.embedded.system import Embedded
from services.console.screen import Screen
from services.console.signals import Interrupted, run
from services.runtime.jobs import run_jobs as stint
from services.runtime.ports import free_ports
from services.runtime.user_error import UserError, nearest

PAGE_PORT = 8787
"""Port of the web page, where nobody asks for another."""


def demo(out: Path, file: Path, options: dict[str, Any], *, resume: bool) -> int:
    """Exit status of a demo."""
    folder, console = RunFolder(out), Console()
    try:
        with folder.lock() as lock:
            record = campaign_run.plan(folder, file, options, resume=resume)
            with Screen(console) as screen:
                history = run(campaign_run.run(folder, record, lock, screen))
    except Interrupted as interrupted:
        typer.echo(f"aevolve: {interrupted}; go on with: aevolve demo --out {out} --resume", err=True)
        return interrupted.status
    console.print(f"report: {out / 'report.md'}, {out / 'report.json'}, {out / 'report.png'}", soft_wrap=True)
    return 0 if history.finished else 1


def up(out: Path, port: int | None) -> int:
    """Exit status of an embedded system that stays until a signal."""
    folder = RunFolder(out)
    try:
        with folder.lock() as lock:
            return run(_stay(folder, lock, _free(port)))
    except Interrupted:
        return 0


def _free(port: int | None) -> int:
    """The port of the page: the one that was asked for, else the usual one, else any that is free."""
    for wanted in (PAGE_PORT, *free_ports(1)) if port is None else (port,):
        try:
            with socket.create_server(("127.0.0.1", wanted)) as opened:
                return int(opened.getsockname()[1])
        except OSError as error:
            taken = error
    raise UserError(f"--port: {port}; {taken.strerror}: give another, or leave it out") from taken


async def _stay(folder: RunFolder, lock: int, port: int) -> int:
    async with Embedded(folder, lock, port if find_spec("starlette") else None) as system:
        if system.page is None:
            typer.echo("no web page: pip install 'aevolve[console]'")
        else:
            typer.echo(f"the page: http://127.0.0.1:{port}/")
        for name, number in system.ports.items():
            typer.echo(f"{name:8} http://127.0.0.1:{number}/health  /metrics  /docs   log: {folder.log(name)}")
        typer.echo(f"start a campaign with: aevolve start CAMPAIGN.yaml --run {folder.root}")
        await system.supervise()


def serve(service: str, jobs: int | None) -> None:
    """Run one service until it is told to stop, or only so many of its jobs."""
    known = [name for name in SERVICES if name != "console"]
    if service not in known:
        raise UserError(f"SERVICE: {service!r} is not a service; {nearest(service, known)}")
    from_environment()  # a variable with a wrong value is told before anything starts
    app = importlib.import_module(f"services.{service}.app")
    if jobs is None:
        app.main()
    elif app.SERVICE.jobs:
        stint.main(app.SERVICE, jobs)
    else:
        raise UserError(f"--jobs: {jobs}; the service {service!r} has no long jobs: leave the option out")


def doctor(out: Path) -> int:
    """Print what was found; 1 where the demo cannot run."""
    checks = machine.examine(out)
    table = Table("what", "found", "what to do")
    for check in checks:
        style = "red" if check.remedy and check.fatal else "yellow" if check.remedy else None
        table.add_row(check.what, check.found, escape(check.remedy or ""), style=style)
    Console().print(table)
    return 0 if machine.healthy(checks) else 1
