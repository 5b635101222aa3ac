"""A page that follows the log leaves a person's work alone: focus, open details, marked text, a form half filled in."""

from typing import Any

import pytest
from playwright.async_api import expect

from eventstore.effect import Append
from schemas.envelope import campaign_stream
from schemas.events import CampaignPaused
from services.runtime.ports import free_ports
from tests.browser.pages import PAGES
from tests.browser.recorded import CAMPAIGN, bring, recorded
from tests.browser.visitor import visiting
from tests.console_process import console

BEGUN = 62
"""Events of the recorded campaign that the log holds at first: two rounds."""


@pytest.fixture(scope="module")
async def begun(chrome, database, stores, tmp_path_factory):
    """The page of a campaign that has begun."""
    await bring(recorded()[:BEGUN], database)
    async with console(database, tmp_path_factory.mktemp("begun")) as page:
        yield page


@pytest.fixture
async def go_on(stores):
    """Appends the next events of the recorded campaign, each as the service that had said it; the last's position."""

    async def append(number=1):
        head = await (await stores("console")).head()
        for x in recorded()[head : head + number]:
            store = await stores(x.source.removeprefix("aevolve/"))
            await store.append([Append(x.correlationid, x.subject, x.event)])
        return head + number

    return append


@pytest.fixture
async def watch(begun, visit):
    """Opens a page that must not be loaded again, and follows the log."""

    async def open_page(address, **window):
        page = await (await visit(begun, **window)).open(address)
        await page.evaluate("window.here = true")
        await expect(page.get_by_role("status").first).to_have_text("live")
        watched.append(page)
        return page

    watched: list[Any] = []
    yield open_page
    for page in watched:
        assert await page.evaluate("window.here"), "the page was loaded again"


async def test_the_focus_stays_and_so_does_what_is_scrolled(watch, go_on):
    page = await watch("/log", viewport={"width": 390, "height": 844})
    await page.locator(f"#s-{BEGUN - 4}").focus()
    await page.locator("#events").evaluate("box => box.scrollTo(120, 0)")
    position = await go_on()
    await expect(page.locator(f"#e-{position}")).to_be_attached()
    await expect(page.locator(f"#s-{BEGUN - 4}")).to_be_focused()
    assert await page.locator("#events").evaluate("box => box.scrollLeft") == 120


async def test_open_details_stay_open_and_keep_the_focus(watch, go_on):
    page = await watch(f"/rounds/{CAMPAIGN}")
    domains = page.locator("#domains-1")
    await domains.locator("summary").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Round 3")).not_to_be_attached()
    await go_on(4)
    await expect(page.get_by_role("heading", name="Round 3")).to_be_visible()
    await expect(domains).to_have_attribute("open", "")
    await expect(domains.locator("summary")).to_be_focused()


async def test_marked_text_stays_marked_and_the_rest_follows_once_it_is_let_go(watch, go_on):
    page = await watch("/log")
    await page.locator("#events tbody tr").first.locator("td").last.select_text()
    marked = await page.evaluate("getSelection().toString()")
    position = await go_on()
    await page.wait_for_timeout(2500)  # twice as long as an update takes
    assert await page.evaluate("getSelection().toString()") == marked != ""
    await expect(page.locator(f"#e-{position}")).not_to_be_attached()
    await page.evaluate("getSelection().removeAllRanges()")
    await expect(page.locator(f"#e-{position}")).to_be_attached()


async def test_a_form_half_filled_in_stays_and_follows_once_it_is_emptied(watch, stores):
    page = await watch(f"/campaigns/{CAMPAIGN}")
    reason = page.get_by_role("textbox", name="Reason").first
    await reason.fill("because")
    await page.get_by_role("link", name="Its rounds").focus()
    paused = CampaignPaused(by="somebody else", reason="lunch")
    await (await stores("console")).append([Append(CAMPAIGN, campaign_stream(CAMPAIGN), paused)])
    await expect(page.locator("#campaign")).to_contain_text("paused")
    await expect(reason).to_have_value("because")
    await reason.fill("")
    await page.get_by_role("link", name="Its rounds").focus()
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()


async def test_a_page_whose_console_ends_says_so_and_catches_up_with_the_next_one(
    begun, database, chrome, go_on, tmp_path
):
    (port,) = free_ports(1)
    async with console(database, tmp_path, port) as first, visiting(chrome, first.address) as visitor:
        visitor.expected = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING")
        page = await visitor.open("/log")
        state = page.get_by_role("status").first
        await expect(state).to_have_text("live")
        first.process.terminate()
        await expect(state).to_have_text("connection lost, reconnecting", timeout=30_000)
        await first.process.wait()
        position = await go_on()
        async with console(database, tmp_path, port):
            await expect(state).to_have_text("live", timeout=60_000)
            await expect(page.locator(f"#e-{position}")).to_be_attached()


@pytest.mark.parametrize("name", PAGES)
async def test_whatever_can_have_the_focus_in_a_live_part_has_a_name_to_be_found_by(demo, visit, name):
    page = await (await visit(demo)).open(PAGES[name])
    nameless = await page.evaluate("""() => [...document.querySelectorAll('[data-live]')].flatMap(box =>
        [box, ...box.querySelectorAll('a[href], button, input:not([type=hidden]), summary, [tabindex]')])
        .filter(place => !place.id && !place.matches('details[id] > summary')).map(place => place.outerHTML)""")
    assert nameless == []
