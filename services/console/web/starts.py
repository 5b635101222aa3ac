"""Campaigns that the page starts: the request checks the file, a background task starts the campaign.

A start takes up to minutes, because the base may have to be made and the drift threshold simulated. Starts are kept in
memory: a campaign is in the log once its start is complete, and a console that ends before that forgets it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from eventstore.store import EventStore
from schemas.campaign import Campaign
from services.console.campaign_control import start_campaign
from services.console.campaign_file import parse
from services.console.client import new_id
from services.console.warm_start import with_warm_start
from services.runtime.settings import Settings

log = logging.getLogger(__name__)


@dataclass
class Start:
    """One campaign that is being started, or could not be."""

    id: str
    """Id of the campaign."""
    user: str
    """Who started it."""
    problem: str = ""
    """Why it failed; empty while it is under way."""


class Starts:
    """The starts of one process, one at a time."""

    def __init__(self, store: EventStore, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.pending: dict[str, Start] = {}
        """Campaign id -> start, until the log holds the campaign or a person forgets a failed start."""

    async def add(self, text: str, file: str, warm_from: str, user: str) -> str:
        """Check a campaign file and start it in the background; returns the campaign's id. Raises `UserError`."""
        campaign = await with_warm_start(
            parse(text, Path(file or "campaign.yaml")), self._store, warm_from or None, None
        )
        start = Start(new_id(campaign.name), user)
        self.pending[start.id] = start
        task = asyncio.create_task(self._run(start, campaign))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return start.id

    async def _run(self, start: Start, campaign: Campaign) -> None:
        try:
            async with self._lock:
                await start_campaign(self._store, self._settings, start.id, campaign, log.info)
        except Exception as error:  # a person reads it on the page
            log.exception("campaign %s could not be started", start.id)
            start.problem = str(error) or type(error).__name__
        else:
            del self.pending[start.id]

    async def finish(self) -> None:
        """Wait for all starts that are under way."""
        await asyncio.gather(*self._tasks)

    async def cancel(self) -> None:
        """Cancel all starts that are under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
