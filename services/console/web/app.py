"""The map of the page: which address shows what, and which form does what.

guard       who may pass, under which name, with which headers (`guard`, `access`)
pages       one module each: reads the log through `site`, shows it by a template (`view`)
forms       what a person may say, after its origin is proven (`forms`)
live        tells open pages that the log has grown (`live`)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from services.console.web import campaigns, entrance
from services.console.web.failures import HANDLERS
from services.console.web.forms import action
from services.console.web.guard import Guard
from services.console.web.live import live
from services.console.web.site import Site

STATIC = Path(__file__).parent / "static"

ROUTES: tuple[BaseRoute, ...] = (
    Route("/", entrance.home),
    Route("/login", entrance.login),
    Route("/login", action(entrance.show_token), methods=["POST"]),
    Route("/logout", action(entrance.forget), methods=["POST"]),
    Route("/alive", entrance.alive),
    Route("/live", live),
    Route("/campaigns", campaigns.overview),
    Mount("/static", StaticFiles(directory=STATIC)),
)
"""Every address. A page of the navigation stands in `view.PAGES` too."""


def make_app(site: Site) -> Starlette:
    """The application; what runs beside the pages lives as long as it."""

    @asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:
        listening = asyncio.create_task(site.live.run())
        try:
            yield
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening

    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(Guard, access=site.access)],
        exception_handlers=HANDLERS,
        lifespan=running,
    )
    app.state.site = site
    return app
