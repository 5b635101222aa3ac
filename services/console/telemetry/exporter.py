"""`aevolve exporter`: a page for Prometheus with what the log says, at `AEVOLVE_METRICS_PORT`."""

from __future__ import annotations

import typer
from prometheus_client import CollectorRegistry, start_http_server

from services.console.client import connected
from services.console.telemetry.watch import Watch
from services.runtime.settings import Settings
from services.runtime.telemetry.logs import configure
from services.runtime.user_error import UserError

ROLE = "exporter"
"""In the database: it reads, and whoever got hold of this process could not write a word."""


async def export(settings: Settings) -> None:
    """Serve the page. Raises `UserError` where it has no port, or the log cannot be reached."""
    if settings.metrics_port is None:
        raise UserError("AEVOLVE_METRICS_PORT: not set; name the port that Prometheus is to ask")
    configure(ROLE, settings.log_format)
    async with connected(settings, ROLE) as store:
        watch, registry = Watch(store), CollectorRegistry()
        registry.register(watch)
        page, thread = _serve(settings.host, settings.metrics_port, registry)
        typer.echo(f"metrics: http://{settings.host}:{settings.metrics_port}/metrics")
        try:
            await watch.run()
        finally:
            page.shutdown()
            page.server_close()
            thread.join()


def _serve(host: str, port: int, registry: CollectorRegistry):  # type: ignore[no-untyped-def]  # noqa: ANN202 - the library's pair
    try:
        return start_http_server(port, host, registry)
    except OSError as error:
        raise UserError(f"AEVOLVE_METRICS_PORT: {port}; {error.strerror}: name a free port") from error
