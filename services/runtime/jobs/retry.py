"""What must be written is written when the database is back: its absence is no reason to throw hours of work away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from eventstore.store import DISCONNECTED

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0

Result = TypeVar("Result")


async def outlasting(act: Callable[[], Awaitable[Result]]) -> Result:
    """The result of an act on the database, done again after each loss of the connection; any other error is raised."""
    while True:
        try:
            return await act()
        except DISCONNECTED as error:
            log.warning("waiting for the log: %s", error)
            await asyncio.sleep(PAUSE_SECONDS)
