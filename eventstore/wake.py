"""Waking up: a notification shortens the wait for new events and is never relied upon, the log is asked in any case."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg

CHANNEL = "aevolve_events"
"""`write_effects_v1` notifies here, once per batch."""


class Wake:
    """One listening session, opened when first needed and again after it was lost."""

    def __init__(
        self, connect: Callable[[], Awaitable[asyncpg.Connection]], head: Callable[[], Awaitable[int]]
    ) -> None:
        self._connect, self._head = connect, head
        self._connection: asyncpg.Connection | None = None
        self._opening = asyncio.Lock()
        self._heard = asyncio.Event()

    async def wait(self, after: int, timeout: float) -> bool:  # noqa: ASYNC109  # a timeout is an answer here, no error
        """Wait until the log is longer than `after`, at most `timeout` seconds; say whether it is.

        A wait that is woken by a lost session says so too: looking finds out.
        """
        await self._listen()
        heard = self._heard  # taken before the log is asked, so that nothing falls in between
        if await self._head() > after:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):  # before Python 3.12, `wait_for` may swallow a cancellation
                return await heard.wait()
        return await self._head() > after

    async def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            await self._connection.close()

    async def _listen(self) -> None:
        async with self._opening:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connect()
                self._connection.add_termination_listener(self._wake)
                await self._connection.add_listener(CHANNEL, self._wake)

    def _wake(self, *_: Any) -> None:
        """Wake all that wait now; those that come later wait for the next."""
        self._heard.set()
        self._heard = asyncio.Event()
