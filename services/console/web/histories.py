"""Each campaign's state, folded once and then carried on: a page costs the events since the last look at it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from eventstore.store import EventStore
from judgement.history import History
from services.console.client import caught_up

KEPT = 64
"""Campaigns whose state is kept; the one that was asked for longest ago goes first."""


class Histories:
    """The states of the campaigns that people look at."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._kept: OrderedDict[str, tuple[History, asyncio.Lock]] = OrderedDict()
        """With a lock each: two folds of one campaign side by side would read it twice."""

    async def of(self, campaign: str) -> History:
        """A campaign's state at the head of the log. Raises `UnknownCampaign`."""
        history, one = self._kept.setdefault(campaign, (History(campaign), asyncio.Lock()))
        self._kept.move_to_end(campaign)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        async with one:
            return await caught_up(self._store, history)
