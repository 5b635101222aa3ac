"""A person's window: it opens pages of one site and notes whatever a page does wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, Request


class Visitor:
    """One window on one site."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address.rstrip("/")
        self.wrong: list[str] = []
        """Errors on the browser's console, broken policies among them, and requests to anywhere else."""
        self.expected: tuple[str, ...] = ()
        """Parts of what the browser is to complain about: a page that is not there, for one."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(f"uncaught: {error}"))
        page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in self.expected):
            self.wrong.append(f"{self.page.url}: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.address}/", "blob:", "data:")):
            self.wrong.append(f"{self.page.url} asked {request.url}")

    async def open(self, path: str) -> Page:
        """Go to a page of the site."""
        await self.page.goto(f"{self.address}{path}")
        return self.page


@asynccontextmanager
async def visiting(browser: Browser, address: str, **window: Any) -> AsyncIterator[Visitor]:
    """A window of its own, with cookies and storage of its own; nothing may have gone wrong in it at the end."""
    context = await browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **window})
    visitor = Visitor(await context.new_page(), address)
    yield visitor
    await context.close()
    assert visitor.wrong == []
