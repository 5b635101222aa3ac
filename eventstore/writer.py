"""One writer per process: while a batch is being committed, what comes meanwhile waits and is the next batch.

So the more a process has to write, the more of it shares a commit, and nobody waits for a timer. The writer has a
session of its own, and with it one round trip per batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from eventstore.batch import Item, Outcome, write
from eventstore.errors import DISCONNECTED
from schemas.envelope import Envelope

BATCH = 500
"""Events and jobs after which a batch is full; an effect is never cut."""


class Writer:
    """Writes effects in the order in which they come."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection | None = None
        self._waiting: deque[tuple[Item, asyncio.Future[Outcome]]] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def write(self, item: Item) -> list[Envelope] | None:
        """The item's appended events, when they are committed; None where its cause was handled before.

        Raises what refuses this item, or one of `DISCONNECTED`; then it is unknown whether it was written, and writing
        the same item again writes it once.
        """
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        outcome = await future
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Write what waits, then end the session."""
        if self._writing is not None:
            await self._writing
        if self._connection is not None:
            await self._connection.close()

    async def _write_all(self) -> None:
        while self._waiting:
            items, futures = zip(*self._take(), strict=True)
            for future, outcome in zip(futures, await self._outcomes(items), strict=True):
                if not future.done():  # whoever waited may have been cancelled
                    future.set_result(outcome)

    def _take(self) -> list[tuple[Item, asyncio.Future[Outcome]]]:
        """The next batch: as many as fit, up to the first that repeats one of them."""
        batch: list[tuple[Item, asyncio.Future[Outcome]]] = []
        keys: set[object] = set()
        size = 0
        while self._waiting and size < BATCH and keys.isdisjoint(self._waiting[0][0].keys):
            batch.append(self._waiting.popleft())
            keys |= batch[-1][0].keys
            size += batch[-1][0].size
        return batch

    async def _outcomes(self, items: Sequence[Item]) -> list[Outcome]:
        """What came of each; a batch that fails as a whole is written one by one, so that one alone fails."""
        try:
            return await write(await self._session(), items)
        except Exception as error:  # noqa: BLE001 - it is raised where the item came from
            if len(items) == 1 or isinstance(error, DISCONNECTED):
                return [error] * len(items)
            return [outcome for item in items for outcome in await self._outcomes([item])]

    async def _session(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection
