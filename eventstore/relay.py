"""The relay publishes the log itself, in position order: there is no outbox table beside it.

Every service runs one and one of them works, chosen by an advisory lock that ends with its session, so a dead leader is
replaced by the next that asks. The cursor moves after a batch is acknowledged: an event may be published twice, which
the inbox absorbs, and is never left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

import asyncpg

from eventstore.errors import DISCONNECTED
from eventstore.read import next_size, page_after, to_envelope
from eventstore.sql import QUERIES
from eventstore.store import EventStore
from schemas.envelope import Envelope

BATCH = 200
"""Events published before the cursor moves: the most that a takeover publishes twice."""

STANDBY_SECONDS = 0.2
"""How often one that stands by asks for the lead: the gap that a dead leader leaves."""

IDLE_SECONDS = 1.0
"""How long a leader trusts to be notified before it looks by itself."""

PAUSE_SECONDS = 1.0
"""Rest after a failure, so that a missing server is not hammered."""

logger = logging.getLogger(__name__)


class Relay:
    """Publishes to one broker incarnation, when it is this relay's turn.

    `publish` returns when the broker has acknowledged; it is called in position order, for a batch at once. `transient`
    names the exceptions of `publish` after which the lead is given up for a pause. After one of `permanent` the event
    goes to `bury` and the relay goes on: one event that no broker takes must not hold up all later ones. Any other
    exception ends `run`.
    """

    def __init__(
        self,
        store: EventStore,
        publish: Callable[[Envelope], Awaitable[object]],
        incarnation: str,
        transient: tuple[type[Exception], ...] = (),
        permanent: tuple[type[Exception], ...] = (),
        bury: Callable[[Envelope, Exception], Awaitable[object]] | None = None,
    ) -> None:
        self._store, self._publish, self._incarnation = store, publish, incarnation
        self._transient, self._permanent, self._bury = transient, permanent, bury
        self.leading = False
        """Whether it is this relay that publishes."""
        self.position = 0
        """Last position it has published."""
        self._size = BATCH

    async def run(self) -> None:
        """Publish, or stand by, until cancelled."""
        while True:
            try:
                await self._session()
            except (*DISCONNECTED, *self._transient) as error:
                logger.warning("relay pauses for %s s: %s: %s", PAUSE_SECONDS, type(error).__name__, error)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _session(self) -> None:
        """Wait for the lead, then publish as long as the session lives; its end gives the lead away."""
        connection = await self._store.connect()
        try:
            await connection.execute(QUERIES["relax_commits"])
            while not await connection.fetchval(QUERIES["lead_relay"], self._incarnation):  # noqa: ASYNC110
                await asyncio.sleep(STANDBY_SECONDS)
            self.position = await connection.fetchval(QUERIES["open_cursor"], self._incarnation)
            self.leading = True
            while True:
                await self._step(connection)
        finally:
            self.leading = False
            await connection.close()

    async def _step(self, connection: asyncpg.Connection) -> None:
        """Publish the next batch, or sleep until there is one.

        The log is read through the session that holds the lead: who has lost the one has lost the other.
        """
        batch = await page_after(connection, self.position, size=self._size)
        self._size = next_size(batch, BATCH)
        await _all(self._publish_or_bury(to_envelope(row)) for row in batch)
        if batch:
            await connection.execute(QUERIES["move_cursor"], self._incarnation, batch[-1].position)
            self.position = batch[-1].position
        else:
            await self._store.wait(self.position, IDLE_SECONDS)

    async def _publish_or_bury(self, envelope: Envelope) -> None:
        try:
            await self._publish(envelope)
        except self._permanent as error:
            logger.error(  # noqa: TRY400 - the broker's refusal says all
                "event %s at position %s cannot be published and goes to the dead letters: %s: %s",
                envelope.id, envelope.sequence, type(error).__name__, error,
            )  # fmt: skip
            if self._bury is not None:
                await self._bury(envelope, error)


async def _all(publishing: Iterable[Awaitable[object]]) -> None:
    """Wait until each has ended, so that none goes on beside its own repeat, then raise the first error."""
    for outcome in await asyncio.gather(*publishing, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
