"""Each page of a recorded campaign: rules of accessibility, light and dark, wide and narrow, and nothing goes wrong.

That no page says an error, breaks its policy or asks another host is held by every window (`tests.browser.visitor`).
"""

import pytest
from playwright.async_api import expect

from tests.browser.axe import violations
from tests.browser.pages import PAGES

PHONES = (390, 320)
"""Pixels of width: a phone's, and the least that WCAG asks for (1.4.10)."""
THEME = "getComputedStyle(document.documentElement).colorScheme"


async def unfold(page):
    """Open what is folded away, so that it is looked at too."""
    await page.evaluate("document.querySelectorAll('details').forEach(folded => { folded.open = true })")


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_accessible_in_light_and_dark_and_fits_a_phone(demo, visit, name):
    page = await (await visit(demo, reduced_motion="reduce")).open(PAGES[name])
    await unfold(page)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        assert await page.evaluate(THEME) == scheme
        assert await violations(page) == []
    for width in PHONES:
        await page.set_viewport_size({"width": width, "height": 844})
        assert await page.evaluate("document.documentElement.scrollWidth") == width
    assert await violations(page) == []


async def test_a_rule_that_is_broken_is_noticed(demo, visit):
    page = await (await visit(demo)).open(PAGES["start"])
    await page.evaluate("document.querySelector('label[for=text]').remove()")
    await page.evaluate("document.querySelector('h1').style.color = '#ddd'")
    told = sorted(await violations(page))
    assert [said.partition(" at ")[0] for said in told] == ["color-contrast", "label", "label-title-only"]


async def test_what_goes_wrong_is_noticed(demo, visit):
    visitor = await visit(demo)
    page = await visitor.open(PAGES["log"])
    await page.evaluate("""() => {
        document.body.insertAdjacentHTML('beforeend', '<img src="https://elsewhere.invalid/i.png" onerror="x()">')
        setTimeout(() => { throw Error('thrown') })
    }""")
    await expect(page.locator("img")).to_be_attached()
    await page.wait_for_timeout(500)
    wrong = "\n".join(visitor.wrong)
    visitor.wrong.clear()
    for part in ("img-src 'self'", "script-src 'self'", "thrown"):
        assert part in wrong


async def test_a_page_that_is_not_there_says_so_in_a_page(demo, visit):
    visitor = await visit(demo)
    visitor.expected = ("404",)
    page = await visitor.open("/rounds/nobody")
    await expect(page.get_by_role("alert")).to_contain_text("nobody")
    assert await violations(page) == []


async def test_the_theme_that_was_chosen_stays(demo, visit):
    page = await (await visit(demo, color_scheme="light")).open(PAGES["log"])
    await page.get_by_role("button", name="Light or dark").click()
    assert await page.evaluate(THEME) == "dark"
    await page.goto(page.url)
    assert await page.evaluate(THEME) == "dark"


async def test_without_scripts_every_page_says_what_it_has_to_say(demo, visit):
    visitor = await visit(demo, java_script_enabled=False)
    for address in PAGES.values():
        page = await visitor.open(address)
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
    page = await visitor.open(PAGES["story"])
    await page.get_by_role("button", name="Recompute", exact=True).click()
    await expect(page.get_by_role("main")).to_contain_text("identical")
