"""Events that no service wrote by its own code: they are told for what they are, and harm no other campaign."""

import asyncio
import os
import sys

import httpx2
import pytest

from eventstore.batch import uuid7
from eventstore.effect import Append
from eventstore.sql import QUERIES
from schemas.envelope import campaign_stream
from schemas.events import TrainingStarted
from services.console.web.app import make_app
from services.console.web.context import Site
from services.console.web.security import PageSettings, access
from services.recipes.app import SERVICE
from services.runtime.reactor import Reactor
from services.runtime.settings import Settings
from tests.conftest import PASSWORDS
from tests.unit.loopworld import campaign, started

DEEP = '{"a":' * 1000 + "1" + "}" * 1000
STRANGER = TrainingStarted(candidate="r9s9", attempt=1, worker="w").model_dump_json()
PAYLOADS = {
    "nothing of what it needs": ("DataBatchReady", 1, "{}", "Field required"),
    "another kind of value": ("DataBatchReady", 1, '{"round": "x"}', "round"),
    "a later version": ("DataBatchReady", 99, "{}", "install the release that wrote it"),
    "too deep": ("DataBatchReady", 1, DEEP, "no JSON that can be parsed"),
    "a number too long": ("DataBatchReady", 1, '{"round": ' + "9" * 5000 + "}", "no JSON that can be parsed"),
    "nothing that was proposed": ("TrainingStarted", 1, STRANGER, "does not fit the events before it"),
}
WRITERS = {"DataBatchReady": "data", "TrainingStarted": "trainer"}


async def write(stores, name, type_, version, data):
    """By a service's password and the writing function, past all checks in Python."""
    one = [1], [uuid7()], [name], [f"{name}/odd"], [None], [type_], [version], [None], [None], [data]
    connection = await (await stores(WRITERS[type_])).connect()
    try:
        await connection.fetch(QUERIES["write_effects"], [None], [None], *one, *([] for _ in range(9)))
    finally:
        await connection.close()


@pytest.fixture
async def reasons(stores):
    """A campaign `good`, and for each payload a campaign `bad-N` with it; what is said of them, by campaign."""
    console = await stores("console")
    reasons = {f"bad-{n}": reason for n, (*_, reason) in enumerate(PAYLOADS.values())}
    if not await console.campaigns():
        for name in ("good", *reasons):
            await console.append([Append(name, campaign_stream(name), started(campaign()), expected=0)])
        for name, (*event, _) in zip(reasons, PAYLOADS.values(), strict=True):
            await write(stores, name, *event)
    return reasons


@pytest.fixture
def shown(database):
    """Runs a command: its exit status and its output in one line."""

    async def run(*arguments):
        environment = os.environ | {"AEVOLVE_POSTGRES": database, "AEVOLVE_PASSWORD": PASSWORDS["console"]}
        command = [sys.executable, "-m", "services.console", *arguments]
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment | {"COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert b"Traceback" not in output, output.decode()
        return process.returncode, " ".join(output.decode().split())

    return run


async def test_the_commands_for_the_whole_log_show_it_and_go_on(reasons, shown):
    for command in (["status"], ["events"], ["events", "--json"], ["verify"]):
        status, text = await shown(*command)
        assert (status, all(name in text for name in reasons)) == (0, command != ["verify"]), (command, text)
        if command == ["status"]:
            assert text.count("UNREADABLE EVENT") == len(reasons)
            assert text.count("good") == 1
        if command == ["events"]:
            assert all(reason in text for name, reason in reasons.items() if name != "bad-5")  # narrated as any other


@pytest.mark.parametrize("number", [0, 3, 5])
async def test_the_commands_for_one_campaign_name_it(number, reasons, shown):
    name = f"bad-{number}"
    status, text = await shown("status", name)
    assert (status, reasons[name] in text) == (0, True)
    for command in (["exposure", name], ["replay", "--campaign", name], ["audit", "latest", "--campaign", name]):
        status, text = await shown(*command)
        assert status in (0, 1) or text.startswith("aevolve: "), (command, text)


async def test_every_page_shows_it_and_goes_on(reasons, stores):
    site = Site.of(await stores("console"), Settings(), access("127.0.0.1", PageSettings()))
    transport = httpx2.ASGITransport(app=make_app(site), client=("127.0.0.1", 50_000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8787", timeout=60) as browser:
        listed = await browser.get("/campaigns")
        assert (listed.status_code, listed.text.count(">unreadable<")) == (200, len(reasons))
        for name in ("good", *reasons):
            for room in ("campaigns", "rounds", "audit", "data"):
                answer = await browser.get(f"/{room}/{name}", follow_redirects=True)
                assert answer.status_code in (200, 404, 422), (room, name, answer.text)
        head, _ = await (await stores("console")).recorded_head()
        for path in ("/log", *(f"/log/{n}" for n in range(1, head + 1))):
            assert (await browser.get(path)).status_code == 200, path
        for path in ("/data", "/rounds", "/audit"):  # of the newest campaign, which is a bad one
            assert (await browser.get(path, follow_redirects=True)).status_code in (200, 422), path


async def test_nothing_more_is_decided_and_the_campaign_can_be_stopped(reasons, stores, shown):
    store = await stores("recipes")
    reactor = Reactor(SERVICE, store)
    for name, reason in reasons.items():
        history = await reactor.history(name)
        assert reason in history.unreadable[0].reason
        assert history.closed
    assert not (await reactor.history("good")).closed
    await reactor.catch_up()
    assert not await store.unhandled("recipes", tuple(SERVICE.reactions), limit=100)
    status, text = await shown("pause", "bad-0", "--reason", "odd")
    assert (status, "stop the campaign" in text) == (2, True)
    assert (await shown("stop", "bad-0", "--reason", "odd"))[0] == 0
    assert (await reactor.history("bad-0")).stopped
