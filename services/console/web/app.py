"""The map of the page: which address shows what, and which form does what.

guard       who may pass, under which name, with which headers (`guard`, `access`)
pages       one module each: reads the log through `site`, shows it by a template (`view`)
forms       what a person may say, after its origin is proven (`forms`)
live        tells open pages that the log has grown (`live`)
starts      campaigns that are being started (`starts`)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from services.console.web import audit, campaigns, data, health, log, rounds
from services.console.web import login as entrance
from services.console.web.context import Site
from services.console.web.csrf import action
from services.console.web.failures import HANDLERS
from services.console.web.live import live
from services.console.web.middleware import Guard

STATIC = Path(__file__).parent / "static"

ROUTES: tuple[BaseRoute, ...] = (
    Route("/", entrance.home),
    Route("/login", entrance.login),
    Route("/login", action(entrance.show_token), methods=["POST"]),
    Route("/logout", action(entrance.forget), methods=["POST"]),
    Route("/alive", entrance.alive),
    Route("/live", live),
    Route("/campaigns", campaigns.overview),
    Route("/campaigns/start", campaigns.new),
    Route("/campaigns/start", action(campaigns.start), methods=["POST"]),
    Route("/campaigns/{campaign}", campaigns.campaign),
    Route("/campaigns/{campaign}/steer", action(campaigns.steer), methods=["POST"]),
    Route("/campaigns/start/{campaign}/forget", action(campaigns.forget), methods=["POST"]),
    Route("/log", log.stream),
    Route("/log/verify", action(log.verify), methods=["POST"]),
    Route("/log/{position:int}", log.event),
    Route("/log/{position:int}.json", log.as_json),
    Route("/event/{id:uuid}", log.by_id),
    Route("/data", data.overview),
    Route("/data/{campaign}/{round:int}", data.samples),
    Route("/health", health.overview),
    Route("/health/letters", health.dead_letters),
    Route("/health/letters/retry", action(health.retry), methods=["POST"]),
    Route("/rounds", rounds.latest),
    Route("/rounds/{campaign}", rounds.rounds),
    Route("/rounds/{campaign}/{candidate}", rounds.candidate),
    Route("/audit", audit.latest),
    Route("/audit/{campaign}", audit.decisions),
    Route("/audit/{campaign}/what-if", audit.what_if),
    Route("/audit/{campaign}/{decision}", audit.decision),
    Route("/audit/{campaign}/{decision}/again", audit.again),
    Route("/audit/{campaign}/{decision}/export", audit.export),
    Mount("/static", StaticFiles(directory=STATIC)),
)
"""Every address. A page of the navigation stands in `view.PAGES` too."""


def make_app(site: Site) -> Starlette:
    """The application; what runs beside the pages lives as long as it."""

    @asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:
        listener = asyncio.create_task(site.live.run())
        try:
            yield
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
            await site.starts.cancel()

    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(Guard, access=site.access)],
        exception_handlers=HANDLERS,
        lifespan=running,
    )
    app.state.site = site
    return app
