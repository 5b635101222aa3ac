"""Notifications of new events: they only shorten the wait; the log is read in any case."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg

CHANNEL = "aevolve_events"
"""`write_effects_v1` notifies here, once per batch."""


class Wake:
    """One listening session, opened at the first wait and again after a lost connection."""

    def __init__(
        self, connect: Callable[[], Awaitable[asyncpg.Connection]], head: Callable[[], Awaitable[int]]
    ) -> None:
        self._connect, self._head = connect, head
        self._connection: asyncpg.Connection | None = None
        self._opening = asyncio.Lock()
        self._wakeup = asyncio.Event()

    async def wait(self, after: int, timeout: float) -> bool:  # noqa: ASYNC109  # a timeout is an answer here, no error
        """Wait until the log is longer than `after`, at most `timeout` seconds; return whether it is.

        A lost session also ends the wait with True; the caller reads the log in any case.
        """
        await self._listen()
        wakeup = self._wakeup  # read before the head, so that no notification is lost between the two
        if await self._head() > after:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):  # before Python 3.12, `wait_for` may swallow a cancellation
                return await wakeup.wait()
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
        """Wake all current waits; later ones wait for the next notification."""
        self._wakeup.set()
        self._wakeup = asyncio.Event()
