"""The rounds page of a campaign beside the bare query for its events."""

from __future__ import annotations

import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from asyncpg import Connection, connect

from benchmarks.console.log import campaign
from benchmarks.console.served import Served
from benchmarks.store.figures import Figure, interleaved
from eventstore.connect import SETTINGS
from eventstore.sql import QUERIES

CALLS = 50
"""Of a repetition; its figure is the mean."""
MOST = 10_000
"""Events of the campaign: more than it has."""


async def measure(served: Served, dsn: str, recorded: Path, repetitions: int) -> list[Figure]:
    """The page when it is opened again, and after nothing was kept; both through HTTP on a connection that is open."""
    name = next(campaign(recorded)).campaign
    database = await connect(dsn, server_settings={"search_path": SETTINGS["search_path"]})
    browser = HTTPConnection(urlsplit(served.address).netloc)
    first = opened(browser, name, 1)

    async def page() -> float:
        return opened(browser, name, CALLS)

    async def query() -> float:
        return await fetched(database, name)

    again, bare = await interleaved(repetitions, page, query)
    browser.close()
    await database.close()
    return [
        Figure("the rounds page", "ms", again, bare, "all events of the campaign, fetched", at_most=1.5),
        Figure("the same, the first time since the start", "ms", [first], bare, "the same"),
    ]


def opened(browser: HTTPConnection, name: str, calls: int) -> float:
    """Milliseconds until the whole page is there."""
    start = time.perf_counter()
    for _ in range(calls):
        browser.request("GET", f"/rounds/{name}")
        page = browser.getresponse()
        assert page.status == 200, page.reason
        page.read()
    return 1000 * (time.perf_counter() - start) / calls


async def fetched(database: Connection, name: str) -> float:
    """Milliseconds until the rows are there: what any page of the campaign would have to read that kept nothing."""
    start = time.perf_counter()
    for _ in range(CALLS):
        await database.fetch(QUERIES["read_campaign"], 0, None, MOST, name)
    return 1000 * (time.perf_counter() - start) / CALLS
