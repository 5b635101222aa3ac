"""The page on a real log: what it shows, and that one listener serves all who look."""

import asyncio
import html
import re

import httpx2
import pytest
from datasets import Dataset

from eventstore.effect import Append
from judgement.decisions import finish
from schemas.envelope import campaign_stream, data_stream, round_stream
from schemas.events import CampaignPaused, DataBatchReady, DataFailed
from schemas.evidence import Basis, Yield
from schemas.scores import Cost
from services.console.client import UnknownCampaign
from services.console.web.app import make_app
from services.console.web.context import Site
from services.console.web.security import PageSettings, access
from services.runtime.settings import Settings


@pytest.fixture
async def site(stores):
    store = await stores("console")
    return Site.of(store, Settings(), access("127.0.0.1", PageSettings()))


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


async def test_the_list_is_a_page_at_a_time(browser, site, begun, started, monkeypatch):
    await site.store.append([Append(f"{begun}-2", campaign_stream(f"{begun}-2"), started, expected=0)])
    monkeypatch.setattr("services.console.web.campaigns.SIZE", 1)
    first = (await browser.get("/campaigns")).text
    assert f'href="/campaigns/{begun}-2"' in first
    assert f'href="/campaigns/{begun}"' not in first
    (older,) = re.findall(r'id="older" href="([^"]*)"', first)
    assert f'href="/campaigns/{begun}"' in (await browser.get(older)).text


async def test_a_state_is_carried_on_and_the_oldest_forgotten(site, begun, monkeypatch):
    first = await site.histories.of(begun)
    await site.store.append([Append(begun, campaign_stream(begun), CampaignPaused(by="me", reason="r"))])
    assert await site.histories.of(begun) is first
    assert first.paused
    monkeypatch.setattr("services.console.web.context.CAMPAIGNS_CACHED", 1)
    with pytest.raises(UnknownCampaign):
        await site.histories.of("another")
    assert await site.histories.of(begun) is not first


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


async def posted(browser, address, **fields):
    """Send a form as a browser does: with the token of the page it was on."""
    if "aevolve_csrf" not in browser.cookies:
        await browser.get("/campaigns")
    return await browser.post(address, data=fields | {"csrf": browser.cookies["aevolve_csrf"]})


async def test_a_campaign_is_paused_resumed_and_stopped_by_its_page(browser, site, begun):
    address = f"/campaigns/{begun}"
    assert "Pause" in (await browser.get(address)).text
    assert (await posted(browser, f"{address}/steer", action="pause", reason="lunch")).status_code == 303
    assert (await site.histories.of(begun)).paused
    again = await posted(browser, f"{address}/steer", action="pause")
    assert again.status_code == 400
    assert "is already paused" in again.text
    for word in ("resume", "stop"):
        await posted(browser, f"{address}/steer", action=word)
    history = await site.histories.of(begun)
    assert (history.paused, history.stopped) == (False, True)
    assert '<h2 id="steer-title">' not in (await browser.get(address)).text
    said = [e.event async for e in site.store.read(campaign=begun, types=["CampaignPaused"])]
    assert said[0].reason == "lunch"
    assert (await posted(browser, f"{address}/steer", action="explode")).status_code == 400


async def test_an_unknown_campaign_is_not_found(browser):
    for address in (
        "/campaigns/none",
        "/data/none/1",
        "/log/99999999",
        "/event/" + "0" * 8 + "-0000-0000-0000-" + "0" * 12,
    ):
        answer = await browser.get(address)
        assert (address, answer.status_code) == (address, 404)


async def test_what_a_person_or_a_model_has_written_is_shown_as_text(browser, site, begun):
    reason = "<script>alert('x')</script>"
    (said,) = await site.store.append(
        [Append(begun, campaign_stream(begun), CampaignPaused(by="<b>me</b>", reason=reason))]
    )
    for address in ("/log", f"/log/{said.sequence}", f"/log?campaign={begun}"):
        page = (await browser.get(address)).text
        assert "&lt;script&gt;alert" in page
        assert "<script>alert" not in page
        assert "<b>me" not in page


async def test_the_log_is_a_page_at_a_time_and_can_be_walked_both_ways(browser, site, begun, monkeypatch):
    monkeypatch.setattr("services.console.web.log.SIZE", 3)
    for _ in range(4):
        await site.store.append([Append(begun, campaign_stream(begun), CampaignPaused(by="me", reason="r"))])
    head = await site.store.head()

    async def shown(address):
        page = (await browser.get(address)).text
        links = dict(re.findall(r'href="([^"]*)">(Older|Newer)</a>', page.replace("&amp;", "&")))
        return [int(n) for n in re.findall(r'id="e-(\d+)"', page)], {word: address for address, word in links.items()}

    first, links = await shown(f"/log?campaign={begun}")
    assert first == [head, head - 1, head - 2]
    assert "Newer" not in links
    second, links = await shown(links["Older"])
    assert second == [head - 3, head - 4]
    assert "Older" not in links
    back, _ = await shown(links["Newer"])
    assert back == first
    assert (await shown(f"/log?campaign={begun}&type=CampaignStarted"))[0] == [head - 4]
    assert (await shown(f"/log?stream={begun}&before={head}"))[0] == [head - 1, head - 2, head - 3]
    assert (await browser.get("/log?type=NoSuchEvent")).status_code == 400


async def test_an_event_is_shown_as_recorded_and_as_json(browser, site, begun):
    (event,) = [e async for e in site.store.read(campaign=begun)]
    page = (await browser.get(f"/log/{event.sequence}")).text
    assert str(event.id) in page
    assert "&#34;constitution_sha256&#34;" in page
    assert (await browser.get(f"/log/{event.sequence}.json")).json() == event.model_dump(mode="json")
    found = await browser.get(f"/event/{event.id}")
    assert found.headers["location"] == f"/log/{event.sequence}"


async def test_the_chain_is_verified_when_a_person_asks(browser, site, begun, owner):
    assert "not verified since" in (await browser.get("/log")).text
    await posted(browser, "/log/verify")
    await site.chain._task
    assert "intact at" in (await browser.get("/log")).text
    position = await site.store.head()
    await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await owner.execute("UPDATE events SET source = 'forged' WHERE position = $1", position)
    try:
        site.chain.begin()
        await site.chain._task
        assert f"broken at position {position}" in (await browser.get("/log")).text
    finally:
        await owner.execute("UPDATE events SET source = 'aevolve/console' WHERE position = $1", position)
        await owner.execute("ALTER TABLE events ENABLE TRIGGER ALL")
        await owner.execute("ALTER TABLE events ENABLE ALWAYS TRIGGER events_append_only")


async def test_health_tells_who_is_away_and_what_runs(browser, site, begun, owner, trainer):
    await owner.execute(
        "INSERT INTO work (queue, key, campaign, payload, attempts, priority, state, attempt, worker, lease_until)"
        " VALUES ('train', 'k', $1, '{}', 2, 0, 'leased', 1, 'w-7', now() + interval '1 hour')",
        begun,
    )
    await trainer.head()  # a session of the trainer's role
    page = (await browser.get("/health")).text
    states = dict(re.findall(r'<th scope="row">(\w+)</th>\s*<td><span class="tag \w+">(\w+)', page))
    assert states["policy"] == "away"
    assert states["trainer"] != "away"
    assert "w-7" in page
    assert "1 of 2" in page


async def test_samples_are_rows_of_the_snapshot_shown_as_text(browser, site, begun, stores, tmp_path):
    hostile = "<img src=x onerror=alert(1)>"
    rows = [
        {"domain": "bits", "prompt": f"{hostile} {n}", "answer": "1", "trace": "t", "difficulty": 1} for n in range(5)
    ]
    Dataset.from_list(rows).to_parquet(tmp_path / "s.parquet")
    gave = Yield(source="puzzles", domain="bits", made=9, kept=5, dropped={"duplicate": 4})
    event = DataBatchReady(
        round=1,
        snapshot="a" * 64,
        uri=str(tmp_path / "s.parquet"),
        rows={"bits": 5},
        tokens={"bits": 9},
        yields=(gave,),
        basis=Basis(position=0, digest="0" * 64, seed=0),
    )
    await (await stores("data")).append([Append(begun, round_stream(begun, 1), event)])
    assert "duplicate 4" in (await browser.get(f"/data?campaign={begun}")).text
    page = (await browser.get(f"/data/{begun}/1")).text
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") == 3
    assert "<img" not in page
    (tmp_path / "s.parquet").unlink()
    gone = await browser.get(f"/data/{begun}/1")
    assert gone.status_code == 400
    assert "not found here" in gone.text


async def test_dead_letters_without_a_broker_say_what_to_do(browser, monkeypatch):
    page = await browser.get("/health/letters")
    assert page.status_code == 400
    assert "AEVOLVE_KAFKA" in page.text


async def test_what_has_only_begun_has_its_pages(browser, begun):
    for address in ("/rounds/{}", "/rounds/{}/base", "/audit/{}", "/audit/{}/what-if?exponent=2"):
        answer = await browser.get(address.format(begun))
        assert answer.status_code == 200
        assert begun in answer.text


async def test_the_navigation_marks_the_page_one_is_on_and_no_other(browser, begun):
    for address, marked in (
        ("/login", []),
        ("/log", ["Log"]),
        ("/log/1", ["Log"]),
        ("/campaigns/start", ["Campaigns"]),
    ):
        page = (await browser.get(address)).text
        assert re.findall(r'aria-current="page">([^<]*)<', page) == marked, address


async def test_rounds_and_audit_lead_to_the_youngest_campaign(browser, begun):
    for name in ("rounds", "audit"):
        assert (await browser.get(f"/{name}")).headers["location"] == f"/{name}/{begun}"


async def test_a_campaign_without_first_data_says_why_it_ended(browser, site, begun):
    failure = DataFailed(
        round=1, attempt=9, error="SourceFailed", message="paths: '/no.jsonl' does not exist", cost=Cost()
    )
    await site.store.append([Append(begun, data_stream(begun, 1), failure)])
    ended = finish(await site.histories.of(begun))
    await site.store.append([Append(begun, campaign_stream(begun), ended)])
    for address in (f"/campaigns/{begun}", f"/rounds/{begun}"):
        page = html.unescape((await browser.get(address)).text)
        assert "SourceFailed: paths: '/no.jsonl' does not exist; given up after try 9" in page
    assert "no data" in (await browser.get("/campaigns")).text
