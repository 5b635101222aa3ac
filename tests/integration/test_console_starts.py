"""Campaigns started by the page: a wrong file is refused at once, a right one is started in the background."""

import asyncio
import re

import httpx2
import pytest

from eventstore.effect import Append
from judgement.decisions import first_policy
from schemas.envelope import campaign_stream
from services.console.web import context
from services.console.web.app import make_app
from services.console.web.context import Site
from services.console.web.security import PageSettings, access
from services.runtime.settings import Settings
from tests.typed import there
from tests.unit.console.test_base_model import model
from tests.unit.console_events import DEMO


@pytest.fixture
async def site(stores):
    return Site.of(await stores("console"), Settings(), access("127.0.0.1", PageSettings()))


@pytest.fixture
def text(tmp_path, request):
    """A campaign file named by the test, with a base that costs nothing."""
    (tmp_path / "base").mkdir()
    base = model(tmp_path / "base", {}, w=[2, 3])
    name = request.node.name.replace("_", "-")[5:45].strip("-")
    file = DEMO.read_text().replace("base: tiny", f"base: {base}").replace("seed: 0", "seed: 0\ntest: false")
    file = re.sub(r" +false_alarms:.*\n", "", file)  # the simulation of the threshold takes half a minute
    return re.sub(r"^name: .*$", f"name: {name}", file, flags=re.MULTILINE)


@pytest.fixture
async def browser(site):
    transport = httpx2.ASGITransport(make_app(site))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8787") as client:
        await client.get("/campaigns/start")
        yield client


@pytest.fixture
def send(browser):
    """Sends the form for a new campaign."""

    async def post(text, warm_from="", file=None):
        fields = {"csrf": browser.cookies["aevolve_csrf"], "text": text, "warm_from": warm_from}
        return await browser.post("/campaigns/start", data=fields, files={"file": file} if file else None)

    return post


async def of_name(site, text):
    name = there(re.search(r"^name: (.*)$", text, re.MULTILINE))[1]
    return [summary.id for summary in await site.store.campaigns() if summary.name == name]


async def test_a_campaign_is_started_and_leaves_the_list_of_starts(site, browser, send, text):
    assert (await send(text)).status_code == 303
    (start,) = site.starts.pending.values()
    assert start.id in (await browser.get("/campaigns")).text
    await site.starts.finish()
    assert await of_name(site, text) == [start.id]
    assert (await site.histories.of(start.id)).campaign.warm is None
    assert not site.starts.pending


async def test_a_file_from_the_browser_replaces_the_text(site, send, text):
    assert (await send("", file=("mine.yaml", text.encode()))).status_code == 303
    await site.starts.finish()
    assert await of_name(site, text)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("rounds: 4", "rounds: 0", "constitution.rounds: 0"),
        ("rounds: 4", "runds: 4", "did you mean &#39;rounds&#39;?"),
        ("name: ", "name: [", "is not YAML"),
    ],
)
async def test_a_wrong_file_is_reported_as_by_the_command_and_starts_nothing(site, send, text, old, new, problem):
    answer = await send(text.replace(old, new, 1))
    assert answer.status_code == 422
    assert problem in answer.text
    assert new in answer.text, "the text is still in the form"
    assert not site.starts.pending


async def test_an_unknown_source_of_a_warm_start_is_reported(site, send, text):
    answer = await send(text, warm_from="nobody")
    assert answer.status_code == 422
    assert "--warm-from" in answer.text
    assert not site.starts.pending


async def test_a_campaign_begins_with_what_an_earlier_one_learned(site, send, text, stores):
    await send(text)
    await site.starts.finish()
    (first,) = await of_name(site, text)
    policy = first_policy(await site.histories.of(first))
    learned = policy.model_copy(update={"policy": policy.policy.model_copy(update={"version": 1, "round": 2})})
    stream = campaign_stream(first)
    await (await stores("policy")).append([Append(first, stream, event) for event in (policy, learned)])
    assert (await send(text, warm_from=first)).status_code == 303
    await site.starts.finish()
    _, second = await of_name(site, text)
    assert (await site.histories.of(second)).campaign.warm.campaign == first


async def test_a_failed_start_says_why_as_text_until_it_is_forgotten(site, browser, send, text, monkeypatch):
    async def fail(*_):
        raise ValueError("<script>alert('x')</script>")

    monkeypatch.setattr(context, "start_campaign", fail)
    await send(text)
    await site.starts.finish()
    (start,) = site.starts.pending.values()
    page = (await browser.get("/campaigns")).text
    assert "&lt;script&gt;alert" in page
    assert "<script>alert" not in page
    form = {"csrf": browser.cookies["aevolve_csrf"]}
    assert (await browser.post(f"/campaigns/start/{start.id}/forget", data=form)).status_code == 303
    assert not site.starts.pending
    assert not await of_name(site, text)


async def test_a_start_under_way_cannot_be_forgotten_and_ends_with_the_process(site, browser, send, text, monkeypatch):
    async def wait(*_):
        await asyncio.sleep(3600)

    monkeypatch.setattr(context, "start_campaign", wait)
    await send(text)
    (start,) = site.starts.pending.values()
    await browser.post(f"/campaigns/start/{start.id}/forget", data={"csrf": browser.cookies["aevolve_csrf"]})
    assert start.id in site.starts.pending
    await asyncio.wait_for(site.starts.cancel(), 5)
