"""Tells all open pages that the log has grown. One task listens for all of them: a follower costs the database nothing.

A page is told a position and nothing else; what to show it asks for as ever. So a message that is lost or doubled does
no harm, and a browser that comes back is told at once how far the log is.
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
"""Longest time between two looks at the log, where no notification comes."""
BREATH_SECONDS = 0.25
"""Shortest: a burst of events is told once."""
HEARTBEAT_SECONDS = 15.0
"""A silent connection is used this often, so that nobody in between takes it for dead and a closed one is noticed."""


class Live:
    """The head of the log, and those who wait for it to move."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._moved = asyncio.Event()
        """Set for those who wait now; those who come later wait for the next."""
        self.head = 0
        """Position of the last event that is known of."""
        self.ended = False
        """Whether the process is about to end."""

    async def run(self) -> None:
        """Listen until cancelled; a database that is away is asked again."""
        while True:
            try:
                await self._look()
            except DISCONNECTED as error:
                log.warning("the log is away (%s); asked again in a second", error)
                await asyncio.sleep(1.0)

    async def _look(self) -> None:
        await self._store.wait(self.head, LOOK_SECONDS)
        head = await self._store.head()
        if head > self.head:
            self.head = head
            self._tell()
            await asyncio.sleep(BREATH_SECONDS)

    def end(self) -> None:
        """Let all streams end, so that the process need not wait for the browsers."""
        self.ended = True
        self._tell()

    def _tell(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def beyond(self, position: int) -> int:
        """The head, once it is beyond a position or the process ends."""
        while self.head <= position and not self.ended:
            await self._moved.wait()
        return self.head

    async def messages(self, after: int) -> AsyncIterator[str]:
        """Server-sent events: `appended` with the head whenever it has moved, comments in silence."""
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
    """The stream of one page, from `?after=POSITION`, or from where its connection broke off."""
    told = request.headers.get("last-event-id") or request.query_params.get("after", "")
    messages = request.app.state.site.live.messages(int(told) if told.isdecimal() else 0)
    return StreamingResponse(messages, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
