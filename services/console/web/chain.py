"""Whether the log still is what it was: the chain computed again, when a person asks, once for all who look."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from eventstore.errors import DISCONNECTED
from eventstore.integrity.chain import ChainBroken
from eventstore.store import EventStore
from services.console.anchors import AnchorSources, read_attested
from services.runtime.settings import Settings
from services.runtime.user_error import UserError

UNKNOWN: tuple[type[BaseException], ...] = (*DISCONNECTED, UserError)
"""What leaves the question open."""


class ChainState:
    """What the last verification found."""

    def __init__(self, store: EventStore, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._task: asyncio.Task[None] | None = None
        self.mood, self.words = "", "not verified since this page was started"
        """`good`, `bad` or nothing, and what there is to say."""

    @property
    def running(self) -> bool:
        """Whether somebody has asked and the answer is not there yet."""
        return self._task is not None and not self._task.done()

    def begin(self) -> None:
        """Verify, unless that is going on already."""
        if not self.running:
            self._task = asyncio.create_task(self._verify())

    async def _verify(self) -> None:
        began = datetime.now(UTC)
        try:
            file = self._settings.anchor_file
            attested = await read_attested(AnchorSources(file if file and file.exists() else None), self._settings)
            head = await self._store.verify(attested.heads)
        except ChainBroken as broken:
            self.mood, self.words = "bad", f"broken at {broken}"
        except UNKNOWN as error:
            self.mood, self.words = "warn", f"not verified: {error}"
        else:
            words = f"{head.position} events, head {head.hash.hex()}, {len(attested.heads)} anchors agree"
            self.mood, self.words = "good", f"whole at {began:%Y-%m-%d %H:%M:%S} UTC: {words}"
            if attested.refused:
                self.mood, self.words = "bad", f"not an anchor of this log: {'; '.join(attested.refused)}"
