"""Serve the web page (console) and the metrics of the log (exporter)."""
# ruff: noqa: PLC0415 - `aevolve --help` imports this module

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands.options import Run, command
from services.runtime.user_error import UserError

group = typer.Typer()


@command(group)
async def console(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 for a free one.")] = 8787,
    folder: Run = None,
) -> None:
    """Serve the web page of a system that is already running, until Ctrl-C.

    On an address other than loopback it requires AEVOLVE_CONSOLE_TOKEN_FILE or AEVOLVE_CONSOLE_TRUSTED_PROXY.
    """
    try:
        from services.console.web.app import serve
    except ModuleNotFoundError as missing:
        raise UserError(f"console: {missing.name} is not installed: pip install 'aevolve[console]'") from missing
    await serve(folder, host, port)


@command(group)
async def exporter(folder: Run = None) -> None:
    """Serve Prometheus metrics of the log at AEVOLVE_METRICS_PORT, until Ctrl-C."""
    from services.console.client import read_settings
    from services.console.telemetry.exporter import ROLE, export

    await export(read_settings(folder, ROLE))
