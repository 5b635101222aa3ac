"""The page on a real log: what it shows, and that one listener serves all who look."""

import asyncio

import httpx2
import pytest

from eventstore.effect import Append
from schemas.envelope import campaign_stream
from schemas.steering import CampaignPaused
from services.console.web.access import PageSettings, access
from services.console.web.app import make_app
from services.console.web.histories import Histories
from services.console.web.live import Live
from services.console.web.site import Site
from services.runtime.settings import Settings


@pytest.fixture
async def site(stores):
    store = await stores("console")
    return Site(store, Settings(), access("127.0.0.1", PageSettings()), Histories(store), Live(store))


@pytest.fixture
async def browser(site):
    transport = httpx2.ASGITransport(make_app(site))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8787") as client:
        yield client


@pytest.fixture
async def begun(site, started, request):
    """Starts a campaign of the name of the test, unlike any other's."""
    id_ = request.node.name.replace("_", "-")[:50]
    await site.store.append([Append(id_, campaign_stream(id_), started, expected=0)])
    return id_


async def test_a_campaign_stands_in_the_list(browser, begun):
    page = (await browser.get("/campaigns")).text
    assert begun in page
    assert "0 of 4" in page


async def test_every_follower_is_told_by_one_listener(site, begun, owner):
    listening = asyncio.create_task(site.live.run())
    head = await site.store.head()
    waits = [asyncio.create_task(site.live.beyond(head)) for _ in range(200)]
    await asyncio.sleep(0.1)
    await site.store.append([Append(begun, campaign_stream(begun), CampaignPaused(by="me", reason="r"))])
    assert set(await asyncio.wait_for(asyncio.gather(*waits), 20)) == {head + 1}
    sessions = await owner.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'aevolve_console'"
    )
    assert sessions <= 6  # a pool of four, the writer's, the listener's
    listening.cancel()


async def test_a_page_is_told_the_head_it_has_missed(site, begun):
    listening = asyncio.create_task(site.live.run())
    messages = site.live.messages(0)
    assert (await anext(messages)).startswith("retry")
    told = await asyncio.wait_for(anext(messages), 20)
    assert f"event: appended\ndata: {await site.store.head()}\n\n" in told
    listening.cancel()
