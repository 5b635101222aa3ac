"""`aevolve exporter`: metrics of the log for Prometheus, at `AEVOLVE_METRICS_PORT`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

import typer
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from eventstore.integrity.chain import Chain, ChainBroken
from eventstore.read import CampaignSummary
from eventstore.store import DISCONNECTED, EventStore
from judgement.history import History
from services.console.client import connected
from services.console.telemetry.metrics import REACHABLE, ChainState, campaign_metrics, system_metrics
from services.runtime.settings import Settings
from services.runtime.telemetry.logs import configure
from services.runtime.user_error import UserError

log = logging.getLogger(__name__)

CAMPAIGNS = 20
"""Campaigns exported at most: each is a label value of every metric."""
READ_SECONDS = 5.0
"""Pause between two reads of the log."""
REVERIFY_SECONDS = 3600.0
"""After this time the chain is verified from the beginning again."""


class Watch(Collector):
    """Collector that exports the last read of the log."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._histories: dict[str, History] = {}
        self._chain, self._begun = Chain(), time.monotonic()
        self._broken = False
        self._metrics: Sequence[Metric] = ()

    def collect(self) -> Iterable[Metric]:
        """The metrics of the last read; only `aevolve_log_reachable` while the log cannot be reached."""
        return self._metrics

    async def run(self) -> None:
        """Read and verify until cancelled, side by side: the first verification of a long log takes long."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self.read))
            tasks.create_task(self._repeat(self.verify))

    async def _repeat(self, once: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await once()
            except DISCONNECTED as error:
                log.warning("the log cannot be reached (%s)", error)
                self._metrics = (REACHABLE.at(0),)
            await asyncio.sleep(READ_SECONDS)

    async def read(self) -> None:
        """Read everything once; the chain as far as it is verified."""
        figures = await self._store.figures()
        histories = [await self._history(one.id) for one in newest(await self._store.campaigns())]
        histories = [history for history in histories if history.campaign is not None]  # else its start is unreadable
        self._histories = {history.id: history for history in histories}
        chain = ChainState(self._chain.head.position, self._broken)
        self._metrics = (REACHABLE.at(1), *system_metrics(figures, chain), *campaign_metrics(histories))

    async def verify(self) -> None:
        """Verify the chain on to the head of the log."""
        if time.monotonic() - self._begun > REVERIFY_SECONDS:
            self._chain, self._begun = Chain(), time.monotonic()
        try:
            await self._store.verify_on(self._chain)
            self._broken = False
        except ChainBroken as broken:
            log.error("the hash chain is broken: %s", broken)  # noqa: TRY400 - not a failure of this process
            self._broken = True

    async def _history(self, campaign: str) -> History:
        """The campaign folded up to the head of the log."""
        history = self._histories.get(campaign, History(campaign))
        async for envelope in self._store.read(after=history.position, campaign=campaign):
            history.apply(envelope)
        return history


def newest(campaigns: Sequence[CampaignSummary]) -> list[CampaignSummary]:
    """The exported campaigns: running ones before ended ones, each newest first."""
    return sorted(campaigns, key=lambda one: (not one.finished, one.started), reverse=True)[:CAMPAIGNS]


ROLE = "exporter"
"""Role in the database: read-only, so that this open port cannot be used to write."""


async def export(settings: Settings) -> None:
    """Serve the metrics. Raises `UserError` without a port, or if the log cannot be reached."""
    if settings.metrics_port is None:
        raise UserError("AEVOLVE_METRICS_PORT: not set; name the port that Prometheus scrapes")
    configure(ROLE, settings.log_format)
    async with connected(settings, ROLE) as store:
        watch, registry = Watch(store), CollectorRegistry()
        registry.register(watch)
        server, thread = _serve(settings.host, settings.metrics_port, registry)
        typer.echo(f"metrics: http://{settings.host}:{settings.metrics_port}/metrics")
        try:
            await watch.run()
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _serve(host: str, port: int, registry: CollectorRegistry):  # type: ignore[no-untyped-def]  # noqa: ANN202 - the library's untyped pair
    try:
        return start_http_server(port, host, registry)
    except OSError as error:
        raise UserError(f"AEVOLVE_METRICS_PORT: {port}; {error.strerror}: name a free port") from error
