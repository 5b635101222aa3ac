"""The database's clock, the only one that decides whether a deadline has passed: a wrong local clock is harmless.

It is read every few minutes; between readings the process's monotonic clock, which cannot be set, measures the time.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import asyncpg

from eventstore.sql import QUERIES

FRESH_SECONDS = 300.0
"""How long a reading is used: in this time the two clocks drift apart by milliseconds."""


class Clock:
    """The time of the database to which `connect` opens a session."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        self._connect = connect
        self._read: tuple[float, datetime] | None = None
        """The monotonic clock and the database's time at the last reading."""

    async def now(self) -> datetime:
        """The current time, with its time zone."""
        if self._read is None or time.monotonic() - self._read[0] > FRESH_SECONDS:
            self._read = await self._ask()
        read_at, database_time = self._read
        return database_time + timedelta(seconds=time.monotonic() - read_at)

    async def _ask(self) -> tuple[float, datetime]:
        connection = await self._connect()
        try:
            database_time: datetime = await connection.fetchval(QUERIES["clock"])
            return time.monotonic(), database_time
        finally:
            await connection.close()
