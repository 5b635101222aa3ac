"""`aevolve console` as a process beside a database of its own: what its followers hear, and how it ends."""

import asyncio
import signal
import socket

import httpx2
import pytest

from eventstore.effect import Append
from schemas.envelope import campaign_stream
from services.console.web.app import listening
from tests.console_process import console
from tests.processes import PATIENCE


@pytest.fixture
async def served(database, tmp_path):
    async with console(database, tmp_path) as page:
        yield page


async def told(lines, word):
    """The next line of the stream that begins with the word; None where it ends before."""
    async with asyncio.timeout(PATIENCE):
        return await anext((line async for line in lines if line.startswith(word)), None)


async def test_a_follower_hears_of_an_event_and_the_process_ends_without_waiting_for_it(served, stores, started):
    async with httpx2.AsyncClient(base_url=served.address, timeout=60) as browser:
        assert (await browser.get("alive")).json()["healthy"]
        async with browser.stream("GET", "live?after=0") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.aiter_lines()
            await told(lines, "retry")
            await (await stores("console")).append([Append("c", campaign_stream("c"), started, expected=0)])
            assert await told(lines, "data") == "data: 1"
            served.process.send_signal(signal.SIGTERM)
            assert await told(lines, "data") is None, "the stream has ended"
        assert await asyncio.wait_for(served.process.wait(), 60) == 0
    assert served.errors.read_text() == ""


def test_a_page_in_two_parts_is_sent_without_waiting_for_an_acknowledgement():
    with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
