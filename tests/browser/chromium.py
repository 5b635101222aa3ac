"""Debian's Chromium, driven by Playwright: no browser is ever downloaded."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright

PLACE = Path("/usr/bin/chromium")
QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""It asks nobody anything by itself."""


def missing() -> str | None:
    """What the tests need and this machine does not have."""
    return None if PLACE.exists() else f"there is no {PLACE}: apt-get install chromium"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A running browser. Root can only run it without Chromium's own sandbox; it sees nothing but our pages."""
    as_root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=PLACE, args=[*QUIET, *as_root])
        yield browser
        await browser.close()
