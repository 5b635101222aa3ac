"""What the requests of one process share: the log, campaigns folded once, pages rendered once, starts under way."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup
from starlette.requests import Request

from eventstore.errors import DISCONNECTED
from eventstore.integrity.chain import ChainBroken
from eventstore.store import EventStore
from judgement.history import History
from schemas.campaign import Campaign
from services.console.anchors import AnchorSources, read_attested
from services.console.campaign_control import start_campaign
from services.console.campaign_file import parse
from services.console.client import caught_up, new_id
from services.console.warm_start import with_warm_start
from services.console.web.live import Live
from services.console.web.security import Access
from services.runtime.settings import Settings
from services.runtime.user_error import UserError

log = logging.getLogger(__name__)

CAMPAIGNS_CACHED = 64
CONTENTS_CACHED = 64
"""The least recently used is dropped first."""


NOT_VERIFIED: tuple[type[BaseException], ...] = (*DISCONNECTED, UserError)
"""Failures of a verification that say nothing about the chain."""


class Histories:
    """Each campaign's state, folded once and then caught up: a page costs the events since the last request."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._cache: OrderedDict[str, tuple[History, asyncio.Lock]] = OrderedDict()
        """With a lock each, so that two requests do not fold the same events twice."""

    async def of(self, campaign: str) -> History:
        """A campaign's state at the head of the log. Raises `UnknownCampaign`."""
        history, lock = self._cache.setdefault(campaign, (History(campaign), asyncio.Lock()))
        self._cache.move_to_end(campaign)
        if len(self._cache) > CAMPAIGNS_CACHED:
            self._cache.popitem(last=False)
        async with lock:
            return await caught_up(self._store, history)


class PageCache:
    """Rendered parts of pages, each valid for one state of the log."""

    def __init__(self) -> None:
        self._cache: OrderedDict[Hashable, tuple[Hashable, Markup]] = OrderedDict()

    async def of(self, key: Hashable, state: Hashable, render: Callable[[], Awaitable[Markup]]) -> Markup:
        """The cached part if it shows this state, else the part rendered now."""
        cached = self._cache.get(key)
        content = cached[1] if cached and cached[0] == state else await render()
        self._cache[key] = state, content
        self._cache.move_to_end(key)
        if len(self._cache) > CONTENTS_CACHED:
            self._cache.popitem(last=False)
        return content


class ChainCheck:
    """The last verification of the hash chain that a person asked for."""

    def __init__(self, store: EventStore, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._task: asyncio.Task[None] | None = None
        self.level, self.result = "", "not verified since the console started"
        """`good`, `warn`, `bad` or empty, and the result in words."""

    @property
    def running(self) -> bool:
        """Whether a verification is under way."""
        return self._task is not None and not self._task.done()

    def begin(self) -> None:
        """Verify in the background, unless that is under way."""
        if not self.running:
            self._task = asyncio.create_task(self._verify())

    async def _verify(self) -> None:
        began = datetime.now(UTC)
        try:
            file = self._settings.anchor_file
            attested = await read_attested(AnchorSources(file if file and file.exists() else None), self._settings)
            head = await self._store.verify(attested.heads)
        except ChainBroken as broken:
            self.level, self.result = "bad", f"broken at {broken}"
        except NOT_VERIFIED as error:
            self.level, self.result = "warn", f"not verified: {error}"
        else:
            summary = f"{head.position} events, head {head.hash.hex()}, {len(attested.heads)} signed heads agree"
            self.level, self.result = "good", f"intact at {began:%Y-%m-%d %H:%M:%S} UTC: {summary}"
            if attested.refused:
                self.level, self.result = "bad", f"not a signed head of this log: {'; '.join(attested.refused)}"


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
    """Campaigns that the page starts, in the background and one at a time.

    A start takes up to minutes: the base may have to be made and the drift threshold simulated. Starts are kept in
    memory: the log holds a campaign once its start is complete, and a console that ends before that forgets it.
    """

    def __init__(self, store: EventStore, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.pending: dict[str, Start] = {}
        """Campaign id -> start, until the log holds the campaign or a person forgets a failed start."""

    async def add(self, text: str, file: str, warm_from: str, user: str) -> str:
        """Check a campaign file and start it in the background; returns the campaign's id. Raises `UserError`."""
        campaign = await with_warm_start(
            await asyncio.to_thread(parse, text, Path(file or "campaign.yaml")), self._store, warm_from or None, None
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


@dataclass(frozen=True)
class Site:
    """The shared state of one process."""

    store: EventStore
    """The log, as the console's role."""
    settings: Settings
    """Settings of the process."""
    access: Access
    """Who may open the page."""
    histories: Histories
    """Each campaign's state."""
    cache: PageCache
    """Rendered parts of pages."""
    live: Live
    """Tells open pages that the log has grown."""
    chain: ChainCheck
    """The last verification of the log."""
    starts: Starts
    """Campaigns being started."""

    @classmethod
    def of(cls, store: EventStore, settings: Settings, access: Access) -> Site:
        """The state for a log."""
        chain, starts = ChainCheck(store, settings), Starts(store, settings)
        return cls(store, settings, access, Histories(store), PageCache(), Live(store), chain, starts)


def site(request: Request) -> Site:
    """The shared state, for a request."""
    state: Site = request.app.state.site
    return state
