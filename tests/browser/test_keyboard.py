"""Everything by keyboard alone: in an order that makes sense, with the focus in sight."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.axe import violations
from tests.browser.pages import PAGES

CONTROLS = """() => [...document.querySelectorAll(
    'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]'
  )].filter(place => place.checkVisibility()).map(place => place.outerHTML.slice(0, 200))"""
"""What a person can do on a page, in the order of reading."""

FOCUSED = """() => {
    const place = document.activeElement, box = place.getBoundingClientRect(), style = getComputedStyle(place)
    const seen = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth
    return [place === document.body ? '' : place.outerHTML.slice(0, 200),
            seen && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2]
  }"""
"""Where the focus is, and whether it can be seen there."""


@pytest.mark.parametrize("name", PAGES)
async def test_tab_goes_through_all_that_can_be_done_in_the_order_of_reading(demo, visit, name):
    page = await (await visit(demo)).open(PAGES[name])
    controls = await page.evaluate(CONTROLS)
    reached = []
    for _ in controls:
        await page.keyboard.press("Tab")
        place, seen = await page.evaluate(FOCUSED)
        assert seen, f"the focus is not to be seen on {place}"
        reached.append(place)
    assert reached == controls


async def test_the_first_tab_offers_to_skip_the_navigation(demo, visit):
    page = await (await visit(demo)).open(PAGES["rounds"])
    await page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Decisions of this campaign")).to_be_focused()


async def test_a_decision_is_taken_again_by_keyboard(demo, visit):
    page = await (await visit(demo)).open(PAGES["story"])
    button = page.get_by_role("button", name="Recompute", exact=True)
    await button.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#again")).to_contain_text("identical", timeout=30_000)
    await expect(button).to_be_focused()
    assert page.url.endswith(PAGES["story"]), "the answer has come into the page"
    assert await violations(page) == []


async def test_the_threshold_is_moved_by_keyboard_and_answered_in_the_page(demo, visit):
    page = await (await visit(demo)).open(PAGES["story"])
    slider, shown = page.get_by_role("slider"), page.locator("output")
    await expect(shown).to_have_text("3.35")
    await slider.focus()
    await page.keyboard.press("ArrowRight")
    await expect(shown).to_have_text(re.compile(r"^4\.\d+$"))
    await page.keyboard.press("End")
    await expect(shown).to_have_text("10,000,000,000")
    await expect(slider).to_have_attribute("aria-valuetext", "10,000,000,000")
    await expect(page.locator("#otherwise")).to_contain_text(
        "With drift declared from Bayes factor 10,000,000,000:", timeout=60_000
    )
    await expect(slider).to_be_focused()
    assert await violations(page) == []


async def test_a_campaign_is_found_and_its_story_read_by_keyboard(demo, visit):
    page = await (await visit(demo)).open("/")
    for name in ("demo-f7wqfhrj", "Its decisions", "v1"):
        await page.get_by_role("link", name=name, exact=True).focus()
        await page.keyboard.press("Enter")
        await page.wait_for_load_state()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Policy v1 of demo-f7wqfhrj")
    effects = page.get_by_text("Estimated effect of each change")
    await effects.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name="Estimated effects")).to_be_visible()
