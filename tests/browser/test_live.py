"""A campaign that a person starts from a file, watches, pauses, resumes and stops, on pages that are never reloaded."""

import re

import pytest
from aiokafka import AIOKafkaProducer
from playwright.async_api import expect

from schemas.envelope import topic
from tests.browser.axe import violations
from tests.browser.hostile import HOSTILE
from tests.browser.system import system
from tests.cluster import log_of

SECONDS = 60_000
"""Patience with what the services do, in milliseconds."""

SCORED = re.compile(r"\d\.\d ± \d\.\d")


@pytest.fixture(scope="module")
async def running(chrome, database, tmp_path_factory):
    """A system without a campaign."""
    async with system(database, tmp_path_factory.mktemp("live"), rounds=30) as found:
        yield found


@pytest.fixture
async def watch(running, visit):
    """Opens a page of it."""

    async def open_page(address):
        return await (await visit(running.page)).open(address)

    return open_page


async def stay(page):
    """From now on the page must not be loaded again."""
    await page.evaluate("window.here = true")


async def stayed(page):
    return await page.evaluate("window.here === true")


@pytest.fixture(scope="module")
async def campaign(running, chrome):
    """Id of a campaign that was started by the form."""
    page = await chrome.new_page()
    await page.goto(f"{running.page.address}campaigns/start")
    await page.get_by_label("or a file from this computer").set_input_files(running.file)
    await page.get_by_role("button", name="Start").click()
    await expect(page).to_have_url(re.compile(r"/campaigns$"))
    await stay(page)
    link = page.locator("#campaigns").get_by_role("link", name=re.compile("^watched-"))
    await expect(link).to_be_visible(timeout=SECONDS)
    assert await stayed(page)
    id_ = await link.inner_text()
    await page.close()
    return id_


async def test_rounds_candidates_and_points_appear_while_one_looks_on(campaign, watch):
    page = await watch(f"/rounds/{campaign}")
    await stay(page)
    await expect(page.get_by_role("heading", name="Round 1")).to_be_visible(timeout=SECONDS)
    await expect(page.get_by_role("row", name=re.compile("^r1s0"))).to_contain_text(SCORED, timeout=SECONDS)
    points = await page.locator("#rounds-chart .mark").count()
    await expect(page.get_by_role("heading", name="Round 2")).to_be_visible(timeout=SECONDS)
    await expect(page.get_by_role("row", name=re.compile("^r2s3"))).to_contain_text(SCORED, timeout=SECONDS)
    assert await page.locator("#rounds-chart .mark").count() > points
    assert await stayed(page)


async def test_health_shows_who_works_on_what(campaign, watch):
    page = await watch("/health")
    await stay(page)
    services = page.get_by_role("region", name="Services")
    await expect(services.get_by_text("up", exact=True)).to_have_count(5, timeout=SECONDS)
    await expect(page.get_by_role("region", name="Leases").get_by_text("held")).not_to_have_count(0, timeout=SECONDS)
    assert await stayed(page)


LIVE = ("/campaigns", "/campaigns/{}", "/rounds/{}", "/rounds/{}/r1s1", "/audit/{}", "/log", "/data", "/health")


@pytest.mark.parametrize("address", LIVE)
async def test_a_page_is_accessible_while_the_campaign_runs(campaign, watch, address):
    page = await watch(address.format(campaign))
    assert await violations(page) == []


async def test_it_is_paused_resumed_and_stopped_and_every_page_follows(campaign, watch, stores):
    page, list_ = await watch(f"/campaigns/{campaign}"), await watch("/campaigns")
    await stay(list_)
    row = list_.get_by_role("row", name=re.compile(campaign))
    for reason, word, state in (("lunch", "Pause", "paused"), ("back", "Resume", "running")):
        await page.get_by_role("textbox", name="Reason").first.fill(reason)
        await page.get_by_role("button", name=word, exact=True).click()
        await expect(page.locator("#campaign")).to_contain_text(state)
        await expect(row).to_contain_text(state, timeout=SECONDS)
    await page.get_by_text("Stop for good").click()
    await page.get_by_role("textbox", name="Reason").last.fill("enough")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator("#campaign")).to_contain_text("stopped")
    await expect(page.get_by_role("heading", name="Control")).not_to_be_attached()
    await expect(row).to_contain_text("stopped", timeout=SECONDS)
    assert await stayed(list_)
    said = [x.event for x in await log_of(await stores("console"), campaign) if x.type.startswith("CampaignP")]
    assert [event.reason for event in said] == ["lunch"]


async def test_a_dead_letter_is_shown_as_text_and_its_event_given_again(campaign, running, watch, stores):
    real = next(x for x in await log_of(await stores("console"), campaign) if x.type == "ScoresReported")
    headers = [(key, value.encode()) for key, value in (real.headers() | {"ce_time": "never"}).items()]
    async with AIOKafkaProducer(bootstrap_servers=running.broker.address) as producer:
        await producer.send_and_wait(topic(real.type), HOSTILE.encode(), key=b"odd", headers=headers)
    page = await watch("/health/letters")
    for _ in range(60):
        if await page.get_by_role("article").count():
            break
        await page.wait_for_timeout(500)
        await page.reload()
    letter = page.get_by_role("article").first
    await letter.get_by_text("Message as received").click()
    await expect(letter.locator("pre")).to_contain_text(HOSTILE)
    assert await page.evaluate("window.ran") is None
    assert await violations(page) == []
    await letter.get_by_role("button", name="Retry").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"ScoresReported at {real.sequence}")
