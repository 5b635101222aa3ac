"""Tells all open pages that the log has grown. One task listens for all, so a follower costs the database nothing.

A message holds only a position; the page then loads itself again. So lost and duplicate messages are harmless, and a
browser that reconnects gets the current position at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import StreamingResponse

from eventstore.errors import DISCONNECTED
from eventstore.store import EventStore

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Longest time between two reads of the head, if no notification comes."""
BURST_SECONDS = 0.25
"""Shortest: a burst of events is one message."""
HEARTBEAT_SECONDS = 15.0
"""A silent connection gets a comment this often: proxies keep it open, and a closed one is noticed."""


class Live:
    """The head of the log, and the requests that wait for it to move."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._moved = asyncio.Event()
        """Set for the requests that wait now; later ones wait for a new event."""
        self.head = 0
        """Position of the last known event."""
        self.ended = False
        """Whether the process is ending."""

    async def run(self) -> None:
        """Listen until cancelled; retry when the database is down."""
        while True:
            try:
                await self._update()
            except DISCONNECTED as error:
                log.warning("the log cannot be reached (%s); retry in 1 s", error)
                await asyncio.sleep(1.0)

    async def _update(self) -> None:
        await self._store.wait(self.head, LOOK_SECONDS)
        head = await self._store.head()
        if head > self.head:
            self.head = head
            self._notify()
            await asyncio.sleep(BURST_SECONDS)

    def end(self) -> None:
        """End all streams, so that the process need not wait for the browsers."""
        self.ended = True
        self._notify()

    def _notify(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def beyond(self, position: int) -> int:
        """The head, once it is beyond a position or the process ends."""
        while self.head <= position and not self.ended:
            await self._moved.wait()
        return self.head

    async def messages(self, after: int) -> AsyncIterator[str]:
        """Server-sent events: `appended` with the head whenever it moves, comments in between."""
        yield "retry: 1000\n\n"
        while not self.ended:
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    head = await self.beyond(after)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if head > after:
                after = head
                yield f"id: {head}\nevent: appended\ndata: {head}\n\n"


async def live(request: Request) -> StreamingResponse:
    """The stream of one page, from `?after=POSITION`, or from the last event id of a broken connection."""
    after = request.headers.get("last-event-id") or request.query_params.get("after", "")
    messages = request.app.state.site.live.messages(int(after) if after.isdecimal() else 0)
    return StreamingResponse(messages, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
