"""No address makes the page fail: NUL, numbers beyond the database's, bytes that are not UTF-8, endless addresses."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from starlette.routing import Mount, Route

from eventstore.effect import Append
from schemas.envelope import campaign_stream
from schemas.events import CampaignStarted
from services.console.web.app import ROUTES, make_app
from services.console.web.context import Site
from services.console.web.pages import PAGES
from services.console.web.security import PageSettings, access
from services.runtime.settings import Settings
from tests.conftest import Stores

CAMPAIGN = "addressed"
NUMBERS = ("0", str(2**63 - 1), str(2**63), str(10**30), "9" * 4_400)
TEXTS = (
    "%00",
    "a%00b",
    "%FF",
    "%C3%28",
    "%ED%A0%80",
    "..%2F..%2Fetc",
    "%F0%9F%92%A9",
    "%0d%0a",
    "x" * 5_000,
    "'%22;--",
)
QUERIES = (
    "after", "before", "campaign", "exponent", "stream", "then", "type", "position",
)  # fmt: skip
STATIC = ["/static/" + name for name in ("%00", "..%2F..%2Fapp.py", "x" * 300, "a/" * 600, "%FF")]
POST = [route.path for route in ROUTES if isinstance(route, Route) and "POST" in (route.methods or ())]
GET = [page.path for page in PAGES] + [
    route.path for route in ROUTES if isinstance(route, Route | Mount) and route.path not in POST
]
PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")


def values(kind: str | None) -> tuple[str, ...]:
    """What is put in the place of a parameter."""
    uuid = "00000000-0000-0000-0000-000000000000"
    return {"int": NUMBERS, "uuid": (uuid, "%00" + uuid[3:])}.get(kind or "", (*TEXTS, *NUMBERS))


def addresses(route: str) -> list[str]:
    """The route with each hostile value in each place, and a known campaign in the others."""
    made = []
    for parameter in PARAMETER.finditer(route):
        for value in values(parameter[2]):
            path = route[: parameter.start()] + value + route[parameter.end() :]
            known = path.replace("{campaign}", CAMPAIGN).replace("{candidate}", "base")
            made.append(PARAMETER.sub("1", known))
    plain = PARAMETER.sub("1", route.replace("{campaign}", CAMPAIGN).replace("{candidate}", "base"))
    return [*made, plain, *(f"{plain}?{name}={value}" for name in QUERIES for value in (*TEXTS, *NUMBERS))]


@pytest.fixture
async def browser(
    stores: Stores, started: CampaignStarted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx2.AsyncClient]:
    store = await stores("console")
    if CAMPAIGN not in {summary.id for summary in await store.campaigns()}:
        await store.append([Append(CAMPAIGN, campaign_stream(CAMPAIGN), started, expected=0)])

    async def no_letters(*_: object) -> list[object]:
        return []

    monkeypatch.setattr("services.console.dead_letters.messages", no_letters)  # no broker is there to be waited for
    site = Site.of(store, Settings(), access("127.0.0.1", PageSettings()))
    site.live.ended = True  # a stream ends at once
    transport = httpx2.ASGITransport(make_app(site), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8787") as client:
        yield client


@pytest.mark.parametrize("route", GET)
async def test_no_address_of_a_page_fails(route: str, browser: httpx2.AsyncClient) -> None:
    failed = {}
    for address in addresses(route):
        answer = await browser.get(address)
        if answer.status_code >= 500:
            failed[address[:80]] = answer.status_code
    assert not failed


@pytest.mark.parametrize("address", STATIC, ids=range(len(STATIC)))
async def test_no_address_of_a_file_fails(address: str, browser: httpx2.AsyncClient) -> None:
    assert (await browser.get(address)).status_code == 404


@pytest.mark.parametrize("route", POST)
async def test_no_address_and_no_field_of_a_form_fails(route: str, browser: httpx2.AsyncClient) -> None:
    await browser.get("/log")
    csrf = browser.cookies["aevolve_csrf"]
    failed: dict[str | tuple[str, str], int] = {}
    fields = {
        "action": "pause",
        "text": "name: x",
        "warm_from": "",
        "token": "",
        "then": "/",
        "position": "",
        "reason": "",
    }
    for address in addresses(route):
        answer = await browser.post(address, data={"csrf": csrf})
        if answer.status_code >= 500:
            failed[address[:80]] = answer.status_code
    for name in fields:
        for value in (*TEXTS, *NUMBERS):
            body = "&".join(f"{key}={value if key == name else quote(given)}" for key, given in fields.items())
            body, kind = f"csrf={csrf}&{body}", {"content-type": "application/x-www-form-urlencoded"}
            answer = await browser.post(PARAMETER.sub(CAMPAIGN, route), content=body, headers=kind)
            if answer.status_code >= 500:
                failed[name, value[:20]] = answer.status_code
    assert not failed


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/campaigns/%00", 404),
        ("/campaigns/%FF", 404),
        (f"/log/{2**63}", 404),
        (f"/log/{10**30}.json", 404),
        (f"/data/{CAMPAIGN}/{10**30}", 404),
        ("/log?stream=%00", 400),
        ("/log?campaign=%ED%A0%80", 400),
        ("/log?before=" + "9" * 4_400, 414),
        (f"/log?before={10**30}", 200),
        ("/log?before=%D9%A3", 200),
    ],
)
async def test_what_such_an_address_is_answered(address: str, status: int, browser: httpx2.AsyncClient) -> None:
    assert (await browser.get(address)).status_code == status
