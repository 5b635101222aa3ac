"""Starts the campaigns that were asked for: a row of the table `schedules` each, so that a restart forgets none.

A start takes minutes (the base is made, the threshold is simulated), so it is no part of a request. Whoever is at it
has claimed the row, and the campaign's id stands in the row before the start: where a console dies in between, another
takes the row over, and the log takes one start of an id.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from eventstore.errors import DISCONNECTED
from eventstore.store import EventStore, StreamConflict
from schemas.campaign import Campaign
from services.console.campaign_control import start_campaign
from services.console.campaign_file import parse
from services.console.client import random_suffix
from services.console.warm_start import warmed
from services.console.web.cron import next_time
from services.runtime.settings import Settings
from services.runtime.user_error import UserError

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Pause between two looks at what is due; a cron line knows minutes."""
CLAIM = timedelta(minutes=15)
"""Longer than any start takes."""


class Scheduler:
    """Looks after the table as long as it runs; several may."""

    def __init__(self, store: EventStore, settings: Settings) -> None:
        self._store, self._settings = store, settings

    async def run(self) -> None:
        """Start what is due until cancelled; a database that is away is asked again."""
        while True:
            try:
                while await self.start_next():
                    pass
            except DISCONNECTED as error:
                log.warning("the log is away (%s); asked again in %.0f seconds", error, LOOK_SECONDS)
            await asyncio.sleep(LOOK_SECONDS)

    async def start_next(self) -> bool:
        """Start what is due first; say whether there was anything."""
        rows = await self._store.ask("claim_schedule", CLAIM, random_suffix())
        for row in rows:
            started, told = await self._start(row)
            due = next_time(row["cron"], row["now"]) if row["cron"] else None
            if started and due is None:
                await self._store.ask("drop_schedule", row["id"])
            else:
                await self._store.ask("keep_schedule", row["id"], started, told, due)
        return bool(rows)

    async def _start(self, row: asyncpg.Record) -> tuple[str | None, str | None]:
        """The campaign that was started, or None, and what there is to say."""
        if row["last"] and await self._runs(row["last"]):
            return None, f"{row['last']} was still running at {row['now']:%Y-%m-%d %H:%M}: this time was left out"
        try:
            campaign, told = await self._campaign(row)
            await start_campaign(self._store, self._settings, row["starting"], campaign, log.info)
        except StreamConflict:  # the console that claimed it before had come that far
            return row["starting"], None
        except UserError as problem:
            return None, str(problem)
        return row["starting"], told

    async def _campaign(self, row: asyncpg.Record) -> tuple[Campaign, str | None]:
        """The campaign of the row's file, with what the last one learned, or why without it."""
        campaign = parse(row["file"], Path(f"{row['name']}.yaml"))
        try:
            return await warmed(campaign, self._store, row["warm_from"], None), None
        except UserError as problem:
            if row["last"] is None:  # a person has named the campaign
                raise
            return campaign, f"started from nothing: {problem}"

    async def _runs(self, campaign: str) -> bool:
        return any(known.id == campaign and not known.finished for known in await self._store.campaigns())


async def ask_for(store: EventStore, text: str, given: dict[str, Any], by: str, now: datetime) -> Campaign:
    """Keep a start that a person asks for, once or by `given["cron"]`. Raises `UserError`."""
    campaign = parse(text, Path(given["file"] or "campaign.yaml"))
    cron, warm_from = given["cron"] or None, given["warm_from"] or None
    await warmed(campaign, store, warm_from, None)
    due = next_time(cron, now) if cron else None
    await store.ask("add_schedule", campaign.name, text, cron, by, warm_from, due)
    return campaign
