"""The options of `aevolve console`, which serves the web page."""
# ruff: noqa: PLC0415 - as in `services.console.cli`

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.runtime.user_error import UserError

Run = Annotated[Path | None, typer.Option("--run", help="Folder of an embedded run (`up`, `demo`) to talk to.")]

page = typer.Typer()


@page.command()
def console(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 for any free one.")] = 8787,
    folder: Run = None,
) -> None:
    """Serve the web page beside a system that runs elsewhere, until Ctrl-C.

    On another address than loopback it wants AEVOLVE_CONSOLE_TOKEN_FILE or AEVOLVE_CONSOLE_TRUSTED_PROXY.
    """
    from services.console.cli import run

    try:
        from services.console.web import serve as served
    except ModuleNotFoundError as missing:
        raise UserError(f"console: {missing.name} is not installed: pip install 'aevolve[console]'") from missing

    run(served.serve(folder, host, port))
