"""`aevolve console` as a process beside a database of its own: what its followers hear, and how it ends."""

import asyncio
import os
import re
import signal
import sys

import httpx2
import pytest

from eventstore.effect import Append
from schemas.envelope import campaign_stream
from tests.conftest import PASSWORDS


@pytest.fixture
async def console(database, tmp_path):
    environment = {**os.environ, "AEVOLVE_POSTGRES": database, "AEVOLVE_PASSWORD": PASSWORDS["console"]}
    argv = ("-m", "services.console", "console", "--port", "0")
    with (tmp_path / "errors").open("w") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, env=environment, stdout=asyncio.subprocess.PIPE, stderr=errors
        )
    process.errors = tmp_path / "errors"
    line = (await asyncio.wait_for(process.stdout.readline(), 120)).decode()
    process.address = re.fullmatch(r"console: (http://127\.0\.0\.1:\d+/)\n", line)[1]
    yield process
    if process.returncode is None:
        process.kill()
        await process.wait()


async def told(lines, word):
    """The next line of the stream that begins with the word; None where it ends before."""
    async with asyncio.timeout(60):
        return await anext((line async for line in lines if line.startswith(word)), None)


async def test_a_follower_hears_of_an_event_and_the_process_ends_without_waiting_for_it(console, stores, started):
    async with httpx2.AsyncClient(base_url=console.address, timeout=60) as browser:
        assert (await browser.get("alive")).json()["healthy"]
        async with browser.stream("GET", "live?after=0") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.aiter_lines()
            await told(lines, "retry")
            await (await stores("console")).append([Append("c", campaign_stream("c"), started, expected=0)])
            assert await told(lines, "data") == "data: 1"
            console.send_signal(signal.SIGTERM)
            assert await told(lines, "data") is None, "the stream has ended"
        assert await asyncio.wait_for(console.wait(), 60) == 0
    assert console.errors.read_text() == ""
