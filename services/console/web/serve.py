"""`aevolve console`: one process that serves the page until a signal comes."""

from __future__ import annotations

import socket
from pathlib import Path
from types import FrameType
from typing import Any

import typer
import uvicorn

from services.console.client import connected, read_settings
from services.console.web.access import access, page_settings
from services.console.web.app import make_app
from services.console.web.context import Site
from services.runtime.main import Server
from services.runtime.user_error import UserError

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, never listened on


async def serve(folder: Path | None, host: str, port: int) -> None:
    """Serve the page. Raises `UserError` for an address that is taken or open to all, or a log that does not answer."""
    rules, settings = access(host, page_settings()), read_settings(folder)
    with listening(host, port) as opened:
        async with connected(settings) as store:
            site = Site.of(store, settings, rules)
            typer.echo(f"console: {address(host, opened.getsockname()[1])}")
            await PageServer(site).serve([opened])


class PageServer(Server):
    """uvicorn that ends the live streams before it waits for its connections."""

    def __init__(self, site: Site) -> None:
        # Not uvicorn's own reading of proxy headers: who the client is decides whether its header is believed.
        given: dict[str, Any] = {"proxy_headers": False, "server_header": False, "timeout_graceful_shutdown": 5}
        super().__init__(uvicorn.Config(make_app(site), log_level="warning", **given))
        self._live = site.live

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come."""
        super().handle_exit(sig, frame)
        self._live.end()


def address(host: str, port: int) -> str:
    """What a person types into a browser; where the page listens on every address, one by which it knows itself."""
    host = "localhost" if host in EVERYWHERE else host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def listening(host: str, port: int) -> socket.socket:
    """A socket on the address. Raises `UserError` where there is none to be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        opened = socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserError(
            f"--host, --port: {host}:{port}; {error.strerror}: give another, or --port 0 for a free one"
        ) from error
    # What it accepts inherits this. asyncio sets it on sockets that name TCP alone, and without it a page that is
    # sent in two parts waits for the other side's delayed acknowledgement, 40 ms.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened
