"""A model's answer, a worker's name, a person's reason: it is shown as it was written, and runs nowhere.

The windows here ignore the page's policy (CSP), so that it is the escaping alone that holds; the policy is tried apart.
"""

import pytest
from playwright.async_api import expect

from tests.browser.axe import violations
from tests.browser.hostile import HOSTILE, IMAGE, disturb, hostile
from tests.browser.pages import PAGES
from tests.browser.recorded import CAMPAIGN, WINNER, bring
from tests.console_process import console

BARE = {"bypass_csp": True}
RAN = "() => window.ran"
MARKUP = "() => document.querySelectorAll('main script, main img, [onerror], [onfocus], [autofocus]').length"


@pytest.fixture(scope="module")
async def enemy(chrome, database, tmp_path_factory):
    """The page of a log that an enemy has written."""
    folder = tmp_path_factory.mktemp("enemy")
    await bring(hostile(folder), database)
    await disturb(database, CAMPAIGN)
    async with console(database, folder) as page:
        yield page


async def unfolded(visitor, address):
    """A page with all that is folded away."""
    page = await visitor.open(address)
    await page.evaluate("document.querySelectorAll('details').forEach(folded => { folded.open = true })")
    return page


async def unharmed(page):
    """Nothing has run, and nothing of the attack stands there as markup."""
    assert await page.evaluate(RAN) is None
    assert await page.evaluate(MARKUP) == 0


ADDRESSES = {
    **PAGES,
    "failed": "/log/122",
    "paused": "/log/123",
    "advised": f"/audit/{CAMPAIGN}/policy:2",
    "drift": "/log/32",
    "asked-by-script": f"/log?campaign={HOSTILE}",
    "then-script": "/login?then=javascript:alert(1)",
}


@pytest.mark.parametrize("name", ADDRESSES)
async def test_nothing_that_an_event_says_runs(enemy, visit, name):
    page = await unfolded(await visit(enemy, **BARE), ADDRESSES[name])
    await unharmed(page)


SHOWN = {
    "an answer of the model": (f"/rounds/{CAMPAIGN}/{WINNER}", "pre.answer"),
    "a failed job's message": (f"/rounds/{CAMPAIGN}/{WINNER}", ".steps"),
    "a row of the data": (f"/data/{CAMPAIGN}/1", "pre"),
    "a reason in the story": (f"/audit/{CAMPAIGN}/policy:2", "main"),
    "the advisor's words": (f"/audit/{CAMPAIGN}/policy:2", "pre.answer"),
    "a person's reason": ("/log/123", ".told"),
    "a worker's name": ("/health", "#leases"),
}


@pytest.mark.parametrize("what", SHOWN)
async def test_it_is_shown_as_it_was_written(enemy, visit, what):
    address, place = SHOWN[what]
    page = await unfolded(await visit(enemy, **BARE), address)
    shown = page.locator(place).filter(has_text=HOSTILE).first
    await expect(shown).to_be_visible()
    assert HOSTILE in await shown.inner_text()


async def test_answers_that_come_into_the_page_run_nothing(enemy, visit):
    page = await (await visit(enemy, **BARE)).open(PAGES["story"])
    await page.get_by_role("button", name="Recompute", exact=True).click()
    await expect(page.locator("#again")).to_contain_text("differ", timeout=30_000)
    await page.get_by_role("button", name="Recompute with it").click()
    await expect(page.locator("#otherwise")).to_contain_text("With drift declared", timeout=60_000)
    await unharmed(page)


async def test_a_form_that_is_wrong_comes_back_as_it_was_filled_in(enemy, visit):
    visitor = await visit(enemy, **BARE)
    visitor.expected = ("status of 422",)
    page = await visitor.open("/campaigns/start")
    await page.get_by_label("Campaign file").fill(f"name: {HOSTILE}")
    await page.get_by_role("button", name="Start").click()
    await expect(page.get_by_role("alert")).to_contain_text(repr(HOSTILE))
    await expect(page.get_by_label("Campaign file")).to_have_value(f"name: {HOSTILE}")
    assert await page.evaluate(RAN) is None


async def test_a_story_that_was_saved_runs_nothing_either(enemy, visit, chrome, tmp_path):
    page = await (await visit(enemy)).open(PAGES["story"])
    async with page.expect_download() as saving:
        await page.get_by_role("link", name="Save this page").click()
    await (await saving.value).save_as(tmp_path / "story.html")
    saved = await chrome.new_page()
    await saved.goto((tmp_path / "story.html").as_uri())
    assert HOSTILE in await saved.inner_text("body")
    assert await saved.evaluate(RAN) is None
    assert await saved.evaluate("document.scripts.length") == 0
    assert await violations(saved) == []
    await saved.close()


async def test_what_runs_without_a_policy_is_stopped_by_ours(enemy, visit):
    """The attack is a real one, and the policy would hold if the escaping did not."""
    inject = "html => document.querySelector('main').insertAdjacentHTML('beforeend', html)"
    bare = await visit(enemy, **BARE)
    bare.expected = ("status of 404",)
    page = await bare.open("/log")
    await page.evaluate(inject, IMAGE)
    await page.wait_for_function("window.ran === 'image'")
    held = await visit(enemy)
    held.expected = ("status of 404", "script-src")
    page = await held.open("/log")
    async with page.expect_console_message(lambda said: "script-src" in said.text):
        await page.evaluate(inject, IMAGE)
    assert await page.evaluate(RAN) is None
