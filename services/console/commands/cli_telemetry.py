"""The options of the command that shows Prometheus what the log says."""
# ruff: noqa: PLC0415 - as in `services.console.cli`

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[Path | None, typer.Option("--run", help="Folder of an embedded run (`up`, `demo`) to talk to.")]

telemetry = typer.Typer()


@telemetry.command()
def exporter(folder: Run = None) -> None:
    """Show Prometheus what the log says, at AEVOLVE_METRICS_PORT, until Ctrl-C."""
    from services.console.cli import run
    from services.console.client import read_settings
    from services.console.telemetry.exporter import ROLE, export

    run(export(read_settings(folder, ROLE)))
