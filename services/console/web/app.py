"""The console's application: its pages, its forms, its failures, and the process that serves them.

A page reads the log through `context.site`; `security.Guard` decides who may open it; `live` tells open pages that
the log has grown. `pages` lists the pages, those of other packages included.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import asyncpg
import typer
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from eventstore.errors import DISCONNECTED
from schemas.unreadable import UnreadableEvent
from services.console.client import UnknownCampaign, connected, read_settings
from services.console.web import audit, campaigns, health, log, login
from services.console.web.context import Site
from services.console.web.live import live
from services.console.web.pages import PAGES, with_external
from services.console.web.security import Forged, Guard, access, action, page_settings
from services.console.web.templating import endpoint, environment, render
from services.runtime.main import Server
from services.runtime.user_error import UserError

STATIC = Path(__file__).parent / "static"
ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - compared with, never listened on

ROUTES: tuple[BaseRoute, ...] = (
    Route("/", login.home),
    Route("/login", action(login.log_in), methods=["POST"]),
    Route("/logout", action(login.log_out), methods=["POST"]),
    Route("/alive", login.alive),
    Route("/live", live),
    Route("/campaigns/start", action(campaigns.start), methods=["POST"]),
    Route("/campaigns/start/{campaign}/forget", action(campaigns.forget), methods=["POST"]),
    Route("/campaigns/{campaign}/steer", action(campaigns.steer), methods=["POST"]),
    Route("/log/verify", action(log.verify), methods=["POST"]),
    Route("/log/{position:int}.json", log.as_json),
    Route("/event/{id:uuid}", log.by_id),
    Route("/health/letters/retry", action(health.retry), methods=["POST"]),
    Route("/audit/{campaign}/{decision}/export", audit.export),
    Mount("/static", StaticFiles(directory=STATIC)),
)
"""Forms, files and streams: every address that is not a page."""


def make_app(site: Site) -> Starlette:
    """The application. Raises `UserError` for a page of another package that cannot be added."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        listener = asyncio.create_task(site.live.run())
        try:
            yield
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
            await site.starts.cancel()

    pages = with_external(PAGES)
    app = Starlette(
        routes=[*(Route(page.path, endpoint(page)) for page in pages), *ROUTES],
        middleware=[Middleware(Guard, access=site.access)],
        exception_handlers=FAILURES,
        lifespan=lifespan,
    )
    app.state.site = site
    app.state.templates = environment(pages)
    return app


async def _log_unreachable(request: Request, error: Exception) -> Response:
    words = f"{error or type(error).__name__}: this page is loaded again every 5 seconds"
    response = _failure(request, 503, "The log cannot be reached", words)
    response.headers["Refresh"] = "5"
    return response


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _failure(request, error.status_code, error.detail, "")


def _as(status: int, title: str) -> Any:
    async def handler(request: Request, error: Exception) -> Response:
        return _failure(request, status, title, str(error))

    return handler


def _failure(request: Request, status: int, title: str, words: str) -> Response:
    return render(request, "failure.html", status=status, title=title, words=words)


FAILURES: Mapping[Any, Any] = {
    UnknownCampaign: _as(404, "Not found"),
    UserError: _as(400, "Not done"),
    UnreadableEvent: _as(422, "An event cannot be read"),
    Forged: _as(403, "Not done"),
    asyncpg.DataError: _as(400, "Not done"),
    HTTPException: _http,
    **dict.fromkeys(DISCONNECTED, _log_unreachable),
}
"""Exception -> its page."""


class PageServer(Server):
    """uvicorn that ends the live streams before it waits for its connections."""

    def __init__(self, site: Site) -> None:
        # `Guard` decides whose proxy headers count, so uvicorn must not read them.
        options: dict[str, Any] = {"proxy_headers": False, "server_header": False, "timeout_graceful_shutdown": 5}
        super().__init__(uvicorn.Config(make_app(site), log_level="warning", **options))
        self._live = site.live

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End the streams, then the server."""
        super().handle_exit(sig, frame)
        self._live.end()


async def serve(folder: Path | None, host: str, port: int) -> None:
    """Serve until a signal comes. Raises `UserError` for an address that is taken or open to all, or a silent log."""
    rules, settings = access(host, page_settings()), read_settings(folder)
    with listening(host, port) as opened:
        async with connected(settings) as store:
            site = Site.of(store, settings, rules)
            typer.echo(f"console: {address(host, opened.getsockname()[1])}")
            await PageServer(site).serve([opened])


def address(host: str, port: int) -> str:
    """The page's URL; `localhost` where the page listens on every address."""
    host = "localhost" if host in ALL_ADDRESSES else host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens on the address. Raises `UserError` where the address cannot be used."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        opened = socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserError(
            f"--host, --port: {host}:{port}; {error.strerror}: give another, or --port 0 for a free one"
        ) from error
    # Accepted sockets inherit the option. asyncio sets it only on sockets made with the protocol TCP; without it a page
    # sent in two parts waits 40 ms for a delayed acknowledgement.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened
