"""`aevolve console`: one process that serves the page until a signal comes."""

from __future__ import annotations

import socket
from pathlib import Path

import typer
import uvicorn

from services.console.client import connected, read_settings
from services.console.problem import Problem
from services.console.web.access import access, page_settings
from services.console.web.app import make_app
from services.console.web.site import Site
from services.runtime.main import Server


async def serve(folder: Path | None, host: str, port: int) -> None:
    """Serve the page. Raises `Problem` for an address that is taken or open to all, or a log that does not answer."""
    rules, settings = access(host, page_settings()), read_settings(folder)
    with listening(host, port) as opened:
        async with connected(settings) as store:
            app = make_app(Site.of(store, settings, rules))
            typer.echo(f"console: {address(host, opened.getsockname()[1])}")
            # Not uvicorn's own reading of proxy headers: who the client is decides whether its header is believed.
            config = uvicorn.Config(
                app, log_level="warning", proxy_headers=False, server_header=False, timeout_graceful_shutdown=2
            )
            await Server(config).serve([opened])


def address(host: str, port: int) -> str:
    """What a person types into a browser."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def listening(host: str, port: int) -> socket.socket:
    """A socket on the address. Raises `Problem` where there is none to be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise Problem(
            f"--host, --port: {host}:{port}; {error.strerror}: give another, or --port 0 for a free one"
        ) from error
