"""A wait for new events ends when it is cancelled, whatever else happens at that moment."""

import asyncio

import pytest

from eventstore.wake import Wake


class Session:
    """A listening session that never hears anything by itself."""

    def is_closed(self):
        return False

    def add_termination_listener(self, heard):
        pass

    async def add_listener(self, channel, heard):
        self.heard = heard


async def test_a_wait_that_is_cancelled_while_it_is_woken_ends():
    session = Session()

    async def connect():
        return session

    async def head():
        return 0

    waiting = asyncio.create_task(Wake(connect, head).wait(0, 60))
    while not hasattr(session, "heard"):
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    session.heard()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
