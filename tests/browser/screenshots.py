"""`make screenshots`: the pictures of docs/images, of the recorded campaign and of one that runs beside it."""

from __future__ import annotations

import asyncio
import io
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from playwright.async_api import Page, expect

from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.migrate import migrate, provision
from tests.browser.chromium import chromium
from tests.browser.recorded import CAMPAIGN, SHIFT, WINNER, bring, laid_out, recorded
from tests.browser.system import System, system
from tests.browser.visitor import Visitor, visiting
from tests.conftest import PASSWORDS

WIDTH, PHONE = 1200, 390
COLOURS = 160
"""Enough for text, tags and charts; a picture is a third as large with them."""
NAMES = {"LOGNAME": "ada", "AEVOLVE_WORKER": "host-1"}
"""Who runs it, and where, for the pictures."""


@dataclass(frozen=True)
class Shot:
    """One picture."""

    name: str
    """Of its file."""
    path: str
    """The page."""
    height: int
    """Pixels, at most."""
    scheme: str = "light"
    """Light or dark."""
    width: int = WIDTH
    """Pixels."""
    prepare: Callable[[Page], Awaitable[None]] | None = None
    """What is done on the page before."""


async def show_answers(page: Page) -> None:
    """Open the answers of two domains."""
    for domain in ("gravity", "units"):
        await page.locator(f"#samples-{domain} summary").click()
    await page.get_by_role("heading", name="Sample answers").evaluate("place => place.scrollIntoView()")


async def ask(page: Page) -> None:
    """Take the decision again, and ask what another threshold would have changed."""
    await page.get_by_role("button", name="Recompute", exact=True).click()
    await expect(page.locator("#again")).to_contain_text("identical", timeout=30_000)
    await page.get_by_role("slider").fill("4")
    await page.get_by_role("button", name="Recompute with it").click()
    await expect(page.locator("#otherwise li").first).to_be_visible(timeout=60_000)
    await page.locator("#recompute").evaluate("place => place.scrollIntoView()")


RECORDED = (
    Shot("rounds", f"/rounds/{CAMPAIGN}", 1080),
    Shot("rounds-dark", f"/rounds/{CAMPAIGN}", 720, scheme="dark"),
    Shot("rounds-phone", f"/rounds/{CAMPAIGN}", 844, width=PHONE),
    Shot("candidate", f"/rounds/{CAMPAIGN}/{WINNER}", 860),
    Shot("answers", f"/rounds/{CAMPAIGN}/{WINNER}", 620, prepare=show_answers),
    Shot("decisions", f"/audit/{CAMPAIGN}", 900),
    Shot("story", f"/audit/{CAMPAIGN}/{SHIFT}", 1460),
    Shot("what-if", f"/audit/{CAMPAIGN}/{SHIFT}", 800, prepare=ask),
    Shot("log", "/log", 760),
    Shot("event", "/log/37", 900),
    Shot("data", f"/data?campaign={CAMPAIGN}", 800),
    Shot("samples", f"/data/{CAMPAIGN}/1", 800),
    Shot("start", "/campaigns/start", 800),
)
RUNNING = (
    Shot("campaigns", "/campaigns", 660),
    Shot("campaign", "/campaigns/{}", 820),
    Shot("health", "/health", 1060),
)


async def take(visitor: Visitor, shot: Shot, out: Path) -> None:
    """One picture into its file, in few colours."""
    page = visitor.page
    await page.emulate_media(color_scheme=shot.scheme)  # type: ignore[arg-type]
    await page.set_viewport_size({"width": shot.width, "height": shot.height})
    await visitor.open(shot.path)
    if shot.prepare:
        await shot.prepare(page)
    await page.wait_for_timeout(500)
    image = Image.open(io.BytesIO(await page.screenshot())).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(out / f"{shot.name}.png", optimize=True)


async def begin(visitor: Visitor, found: System) -> str:
    """Start a campaign from its file; returns its id once round 3 is open."""
    page = visitor.page
    await visitor.open("/campaigns/start")
    await page.get_by_label("or a file from this computer").set_input_files(found.file)
    await page.get_by_role("button", name="Start").click()
    link = page.locator("#campaigns th a").first
    await expect(link).not_to_have_text(CAMPAIGN, timeout=60_000)
    id_ = await link.inner_text()
    await visitor.open(f"/rounds/{id_}")
    await expect(page.get_by_role("heading", name="Round 3")).to_be_visible(timeout=60_000)
    return id_


async def main(out: Path) -> None:
    """All pictures into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, EmbeddedPostgres(Path(place) / "postgres") as server:
        await migrate(server.dsn)
        await provision(server.dsn, PASSWORDS)
        await bring(recorded(), server.dsn)
        folder = await laid_out(Path(place) / "run")
        async with (
            system(server.dsn, folder, 30, **NAMES) as found,
            chromium() as browser,
            visiting(browser, found.page.address) as visitor,
        ):
            await _all(visitor, found, out)


async def _all(visitor: Visitor, found: System, out: Path) -> None:
    for shot in RECORDED:
        await take(visitor, shot, out)
    id_ = await begin(visitor, found)
    for shot in RUNNING:
        await take(visitor, replace(shot, path=shot.path.format(id_)), out)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
