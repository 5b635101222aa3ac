"""Looks at the log again and again; what it saw last is what Prometheus is shown."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from eventstore.integrity.chain import Chain, ChainBroken
from eventstore.read import CampaignSummary
from eventstore.store import DISCONNECTED, EventStore
from judgement.history import History
from services.console.telemetry.campaigns import campaign_metrics
from services.console.telemetry.system import REACHABLE, ChainState, system_metrics

log = logging.getLogger(__name__)

CAMPAIGNS = 20
"""Campaigns that are shown at the most: each is a label value of every metric."""
LOOK_SECONDS = 5.0
"""Pause between two looks."""
VERIFY_AGAIN_SECONDS = 3600.0
"""How long a verified event is believed: then the chain is walked from the beginning again."""


class Watch(Collector):
    """The collector of the metrics that follow from the log."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._histories: dict[str, History] = {}
        self._chain, self._begun = Chain(), time.monotonic()
        self._broken = False
        self._shown: Sequence[Metric] = ()

    def collect(self) -> Iterable[Metric]:
        """What was seen last; while the log is away, nothing but that."""
        return self._shown

    async def run(self) -> None:
        """Look for ever, and verify beside it: the first walk along a long log takes its time."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._again_and_again(self.look))
            tasks.create_task(self._again_and_again(self.verify))

    async def _again_and_again(self, once: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await once()
            except DISCONNECTED as error:
                log.warning("the log is away (%s)", error)
                self._shown = (REACHABLE.at(0),)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """See everything once, the chain as far as it has been verified."""
        figures = await self._store.figures()
        histories = [await self._history(one.id) for one in newest(await self._store.campaigns())]
        self._histories = {history.id: history for history in histories}
        chain = ChainState(self._chain.head.position, self._broken)
        self._shown = (REACHABLE.at(1), *system_metrics(figures, chain), *campaign_metrics(histories))

    async def verify(self) -> None:
        """Go on along the chain to the end of the log."""
        if time.monotonic() - self._begun > VERIFY_AGAIN_SECONDS:
            self._chain, self._begun = Chain(), time.monotonic()
        try:
            await self._store.verify_on(self._chain)
            self._broken = False
        except ChainBroken as broken:
            log.error("the log is not as it was written: %s", broken)  # noqa: TRY400 - no failure of ours
            self._broken = True

    async def _history(self, campaign: str) -> History:
        """The campaign folded up to the head of the log."""
        history = self._histories.get(campaign, History(campaign))
        async for envelope in self._store.read(after=history.position, campaign=campaign):
            history.apply(envelope)
        return history


def newest(campaigns: Sequence[CampaignSummary]) -> list[CampaignSummary]:
    """Those that are shown: what has not ended before what has, and of both the newest first."""
    return sorted(campaigns, key=lambda one: (not one.finished, one.started), reverse=True)[:CAMPAIGNS]
