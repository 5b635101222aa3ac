"""A page that asks for its token: who knows it comes where he wanted to go, and out again."""

import pytest
from playwright.async_api import expect

from tests.browser.axe import violations
from tests.browser.recorded import CAMPAIGN, bring, recorded
from tests.console_process import console

TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture(scope="module")
async def locked(chrome, database, tmp_path_factory):
    """The page of a log, behind a token."""
    folder = tmp_path_factory.mktemp("locked")
    (folder / "token").write_text(TOKEN)
    await bring(recorded(), database)
    async with console(database, folder, AEVOLVE_CONSOLE_TOKEN_FILE=str(folder / "token")) as page:
        yield page


async def test_the_token_opens_the_page_that_was_asked_for_until_one_logs_out(locked, visit):
    visitor = await visit(locked)
    visitor.expected = ("status of 403",)
    page = await visitor.open(f"/rounds/{CAMPAIGN}")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    assert await violations(page) == []
    await page.get_by_label("Token").fill("a-token-that-somebody-guessed")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("token: wrong")
    assert await violations(page) == []
    await page.get_by_label("Token").fill(TOKEN)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"Rounds of {CAMPAIGN}")
    assert await violations(page) == []
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    await visitor.open("/log")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
