"""A browser for the session, windows that watch what pages do, and a recorded campaign behind a real console."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from eventstore.embedded.postgres import EmbeddedPostgres
from tests.browser.chromium import chromium, missing
from tests.browser.recorded import bring, laid_out, recorded
from tests.browser.visitor import Visitor, visiting
from tests.conftest import create_database
from tests.console_process import Console, console

expect.set_options(timeout=20_000)  # on a machine that is busy with other things, too

Visit = Callable[..., Awaitable[Visitor]]
"""`await visit(site)`: a window on a site; what is said besides is Playwright's `new_context`."""


@pytest.fixture(scope="session")
async def chrome() -> AsyncIterator[Browser]:
    """The browser. Where there is none the tests are skipped, except in CI: there that is a failure."""
    if lack := missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(lack)
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def visit(chrome: Browser) -> AsyncIterator[Visit]:
    """Opens windows; at the end of the test none of them may have seen anything go wrong."""
    async with AsyncExitStack() as windows:

        async def open_window(site: Console, **window: Any) -> Visitor:
            return await windows.enter_async_context(visiting(chrome, site.address, **window))

        yield open_window


@pytest.fixture(scope="session")
async def demo(
    chrome: Browser, postgres: EmbeddedPostgres, migrated: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Console]:
    """The page of the recorded campaign, with the files that its events name."""
    folder = await laid_out(tmp_path_factory.mktemp("demo"))
    database = await create_database(postgres, "browser_demo", migrated)
    await bring(recorded(), database)
    async with console(database, folder, AEVOLVE_ARTIFACTS="artifacts") as page:
        yield page
