"""Scrolling through the whole log to its first event: the process must not grow with what it has shown."""

from __future__ import annotations

import re

import httpx2

from benchmarks.console.served import Served
from benchmarks.store.figures import Figure

OLDER = re.compile(r'href="/(log\?[^"]*before=\d+)"')


async def measure(served: Served, warm: int) -> list[Figure]:
    """Memory when every page has been shown, beside that after the first `warm`, when what is kept once is there."""
    warm_mb, pages, address = 0.0, 0, "log"
    async with httpx2.AsyncClient(base_url=served.address, timeout=60) as browser:
        while address:
            page = await browser.get(address)
            page.raise_for_status()
            older = OLDER.search(page.text)
            address, pages = older[1].replace("&amp;", "&") if older else "", pages + 1
            warm_mb = served.resident_mb() if pages == warm else warm_mb
    measure, at_first = f"memory after {pages:,} pages of the log", f"after the first {warm:,} pages"
    return [Figure(measure, "MB", [served.resident_mb()], [warm_mb], at_first, at_most=1.05)]
