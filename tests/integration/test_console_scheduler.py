"""Starts that a person asks for on the page: refused at once where they are wrong, made once, and again by cron."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx2
import pytest

from eventstore.effect import Append
from schemas.envelope import campaign_stream
from schemas.events import CampaignStopped
from services.console.web.access import PageSettings, access
from services.console.web.app import make_app
from services.console.web.context import Site
from services.console.web.cron import next_time
from services.console.web.scheduler import Scheduler
from services.policy.core import first_policy
from services.runtime.settings import Settings
from services.runtime.user_error import UserError
from tests.unit.console.test_base_model import model
from tests.unit.console_events import DEMO


@pytest.fixture
async def site(stores, owner):
    await owner.execute("DELETE FROM schedules")
    return Site.of(await stores("console"), Settings(), access("127.0.0.1", PageSettings()))


@pytest.fixture
def scheduler(site):
    return Scheduler(site.store, site.settings)


@pytest.fixture
def text(tmp_path, request):
    """A campaign file named by the test, with a base that costs nothing."""
    (tmp_path / "base").mkdir()
    base = model(tmp_path / "base", {}, w=[2, 3])
    name = request.node.name.replace("_", "-")[5:45].strip("-")
    file = DEMO.read_text().replace("base: tiny", f"base: {base}").replace("seed: 0", "seed: 0\ntest: false")
    file = re.sub(r" +false_alarms:.*\n", "", file)  # what would be simulated takes half a minute
    return re.sub(r"^name: .*$", f"name: {name}", file, flags=re.MULTILINE)


@pytest.fixture
async def ask(site):
    """Sends the form for a new campaign."""
    transport = httpx2.ASGITransport(make_app(site))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8787") as browser:
        await browser.get("/campaigns/start")

        async def send(text, cron="", warm_from="", file=None):
            fields = {"csrf": browser.cookies["aevolve_csrf"], "text": text, "cron": cron, "warm_from": warm_from}
            return await browser.post("/campaigns/start", data=fields, files={"file": file} if file else None)

        yield send


async def of_name(site, name):
    return [known.id for known in await site.store.campaigns() if known.name == name]


def name_of(text):
    return re.search(r"^name: (.*)$", text, re.MULTILINE)[1]


async def due_now(owner):
    await owner.execute("UPDATE schedules SET next_at = now()")


async def test_a_campaign_is_started_once_and_by_whom_it_was_asked(site, scheduler, ask, text):
    assert (await ask(text)).status_code == 303
    assert len(await site.store.ask("schedules")) == 1
    assert await scheduler.start_next()
    (started,) = await of_name(site, name_of(text))
    assert (await site.histories.of(started)).campaign.warm is None
    assert not await site.store.ask("schedules")
    assert not await scheduler.start_next()


async def test_a_file_from_the_browser_is_taken_in_place_of_the_text(site, scheduler, ask, text):
    assert (await ask("", file=("mine.yaml", text.encode()))).status_code == 303
    await scheduler.start_next()
    assert await of_name(site, name_of(text))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("rounds: 4", "rounds: 0", "constitution.rounds: 0"),
        ("rounds: 4", "runds: 4", "did you mean &#39;rounds&#39;?"),
        ("name: ", "name: [", "is not YAML"),
    ],
)
async def test_a_wrong_file_is_told_as_the_command_tells_it_and_starts_nothing(site, ask, text, old, new, told):
    answer = await ask(text.replace(old, new, 1))
    assert answer.status_code == 422
    assert told in answer.text
    assert new in answer.text, "what was written is still there to be mended"
    assert not await site.store.ask("schedules")


async def test_a_wrong_cron_line_or_source_is_told(site, ask, text):
    for given, told in (({"cron": "61 * * * *"}, "cron: "), ({"warm_from": "nobody"}, "--warm-from")):
        answer = await ask(text, **given)
        assert answer.status_code == 422
        assert told in answer.text
    assert not await site.store.ask("schedules")


async def test_a_start_that_cannot_be_made_says_why_and_is_not_tried_again(site, scheduler, ask, text, tmp_path):
    assert (await ask(text)).status_code == 303
    for file in (tmp_path / "base").iterdir():
        file.unlink()
    assert await scheduler.start_next()
    (row,) = await site.store.ask("schedules")
    assert "model.base" in row["told"]
    assert row["next_at"] is None
    assert not await scheduler.start_next()


async def test_a_schedule_outlives_the_console_and_each_run_begins_with_what_the_last_one_learned(
    site, scheduler, ask, text, owner, stores
):
    await ask(text, cron="0 3 * * *")
    assert not await scheduler.start_next(), "it is not due"
    await due_now(owner)
    assert await Scheduler(site.store, site.settings).start_next(), "another process does it"
    (first,) = await of_name(site, name_of(text))
    (row,) = await site.store.ask("schedules")
    assert row["last"] == first
    assert row["next_at"] == next_time("0 3 * * *", datetime.now(UTC))

    await due_now(owner)
    await scheduler.start_next()
    (row,) = await site.store.ask("schedules")
    assert "was still running" in row["told"]
    assert await of_name(site, name_of(text)) == [first]

    await learn(site, stores, first)
    await due_now(owner)
    await scheduler.start_next()
    _, second = await of_name(site, name_of(text))
    assert (await site.histories.of(second)).campaign.warm.campaign == first


async def learn(site, stores, campaign):
    """Let a campaign end after a round."""
    history = await site.histories.of(campaign)
    first = first_policy(history)
    second = first.model_copy(update={"policy": first.policy.model_copy(update={"version": 1, "round": 2})})
    stream = campaign_stream(campaign)
    await (await stores("policy")).append([Append(campaign, stream, event) for event in (first, second)])
    await site.store.append([Append(campaign, stream, CampaignStopped(by="me", reason="enough"))])


async def test_two_consoles_start_a_campaign_once(site, scheduler, ask, text):
    await ask(text)
    done = await asyncio.gather(scheduler.start_next(), Scheduler(site.store, site.settings).start_next())
    assert sorted(done) == [False, True]
    assert len(await of_name(site, name_of(text))) == 1


async def test_a_start_that_broke_off_after_the_log_had_it_is_not_made_twice(site, scheduler, ask, text, owner):
    await ask(text)
    (row,) = await site.store.ask("claim_schedule", timedelta(seconds=0), "abcdefgh")
    await scheduler._start(row)
    assert await scheduler.start_next(), "the claim has run out, the row is there still"
    assert await of_name(site, name_of(text)) == [row["starting"]]
    assert not await site.store.ask("schedules")


async def test_other_roles_cannot_ask_for_starts(stores):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await (await stores("trainer")).ask("drop_schedule", 1)


@pytest.mark.parametrize(
    ("line", "due"),
    [("0 3 * * *", "2026-01-02 03:00"), ("*/15 * * * *", "2026-01-01 12:15"), ("0 0 29 2 *", "2028-02-29 00:00")],
)
def test_a_cron_line_names_the_next_time_in_utc(line, due):
    assert f"{next_time(line, datetime(2026, 1, 1, 12, tzinfo=UTC)):%Y-%m-%d %H:%M}" == due


@pytest.mark.parametrize("line", ["", "0 3 * *", "0 0 3 * * *", "daily", "0 0 31 2 *", "60 * * * *"])
def test_a_line_that_names_no_time_is_refused(line):
    with pytest.raises(UserError, match=r"0 3 \* \* \*"):
        next_time(line, datetime(2026, 1, 1, tzinfo=UTC))
