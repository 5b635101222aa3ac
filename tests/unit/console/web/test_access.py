"""Who may open the page, and what every response is bound by."""

import ipaddress
import re
import socket
import time
from typing import cast
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from eventstore.store import EventStore
from services.console.cli import app
from services.console.web.app import address, make_app
from services.console.web.context import Site
from services.console.web.security import HEADERS, PageSettings, access
from services.console.web.sessions import MOST_CLIENTS, MOST_SESSIONS, Sessions, Tries
from services.runtime.settings import Settings
from services.runtime.user_error import UserError

TOKEN = "a token of more than twenty-four characters"


class EmptyLog:
    """The store of a log without events."""

    async def head(self):
        return 0

    async def campaigns(self):
        return []

    async def ask(self, query, *values):
        return []


def client(rules, peer="127.0.0.1", name="localhost"):
    store = EmptyLog()
    app = make_app(Site.of(cast(EventStore, store), Settings(), rules))
    return TestClient(app, base_url=f"http://{name}:8787", client=(peer, 50_000), follow_redirects=False)


@pytest.fixture
def token_file(tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    return tmp_path / "token"


@pytest.fixture
def guarded(token_file):
    return access("0.0.0.0", PageSettings(token_file=token_file))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org"])
def test_a_public_address_without_authentication_is_refused(host):
    with pytest.raises(UserError, match="AEVOLVE_CONSOLE_TOKEN_FILE"):
        access(host, PageSettings())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_loopback_asks_nobody_who_he_is(host):
    assert client(access(host, PageSettings())).get("/campaigns").status_code == 200


def test_a_token_that_could_be_guessed_is_refused(tmp_path):
    (tmp_path / "token").write_text("secret")
    with pytest.raises(UserError, match="6 characters can be guessed"):
        access("0.0.0.0", PageSettings(token_file=tmp_path / "token"))
    with pytest.raises(UserError, match="name a readable file"):
        access("0.0.0.0", PageSettings(token_file=tmp_path / "none"))


def test_a_proxy_that_is_no_network_is_refused():
    with pytest.raises(UserError, match="'proxy'"):
        access("0.0.0.0", PageSettings(trusted_proxy="proxy"))


@pytest.mark.parametrize("path", ["/campaigns", "/live", "/nowhere", "/loginx"])
def test_a_stranger_sees_nothing(guarded, path):
    browser = client(guarded)
    assert browser.get(path).status_code == 401
    shown = browser.get(path, headers={"accept": "text/html"})
    assert (shown.status_code, shown.headers["location"]) == (303, f"/login?then={path}")
    assert browser.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401


def test_the_token_opens_the_page_to_a_program(guarded):
    assert client(guarded).get("/campaigns", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def logged_in(browser, token=TOKEN):
    browser.get("/login")
    fields = {"csrf": browser.cookies["aevolve_csrf"], "token": token, "then": "/campaigns"}
    return browser.post("/login", data=fields)


def test_the_token_opens_the_page_to_a_browser_until_it_leaves(guarded):
    browser = client(guarded)
    answer = logged_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/campaigns")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert "samesite=strict" in answer.headers["set-cookie"].lower()
    assert TOKEN not in answer.headers["set-cookie"]
    assert browser.get("/campaigns").status_code == 200
    browser.post("/logout", data={"csrf": browser.cookies["aevolve_csrf"]})
    assert browser.get("/campaigns").status_code == 401


def test_a_wrong_token_opens_nothing(guarded):
    browser = client(guarded)
    assert logged_in(browser, "wrong").status_code == 403
    assert browser.get("/campaigns").status_code == 401


@pytest.mark.parametrize("then", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_the_way_in_leads_to_no_other_site(guarded, then):
    browser = client(guarded)
    browser.get("/login")
    fields = {"csrf": browser.cookies["aevolve_csrf"], "token": TOKEN, "then": then}
    assert browser.post("/login", data=fields).headers["location"] == "/"


def test_a_session_ends_and_cannot_be_prolonged(guarded, monkeypatch):
    session = guarded.sessions.begin()
    assert guarded.sessions.has(session)
    ends, _, proof = session.partition(".")
    assert not guarded.sessions.has(f"{int(ends) + 1}.{proof}")
    monkeypatch.setattr("services.console.web.sessions.time.time", lambda: int(ends) + 1.0)
    assert not guarded.sessions.has(session)


def test_a_copied_cookie_opens_nothing_after_the_logout(guarded):
    browser, thief, other = (client(guarded) for _ in range(3))
    logged_in(browser)
    logged_in(other)
    thief.cookies.set("aevolve_session", browser.cookies["aevolve_session"])
    assert thief.get("/campaigns").status_code == 200
    browser.post("/logout", data={"csrf": browser.cookies["aevolve_csrf"]})
    assert thief.get("/campaigns").status_code == 401
    assert other.get("/campaigns").status_code == 200, "only this session has ended"


def test_a_client_tries_few_tokens_a_minute(guarded, monkeypatch):
    browser, known = client(guarded, "10.0.0.1"), client(guarded, "10.0.0.1")
    logged_in(known)
    assert [logged_in(browser, "wrong").status_code for _ in range(12)] == [403] * 10 + [429] * 2
    refused = logged_in(browser)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert browser.get("/campaigns", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 429
    assert known.get("/campaigns").status_code == 200, "who is logged in stays so"
    assert logged_in(client(guarded, "10.0.0.2")).status_code == 303, "others are not held up"
    later = time.monotonic() + 61
    monkeypatch.setattr("services.console.web.sessions.time.monotonic", lambda: later)
    assert logged_in(browser).status_code == 303


def test_wrong_tokens_of_a_program_count_too(guarded):
    browser = client(guarded, "2001:db8::1")
    wrong = {"authorization": "Bearer wrong"}
    assert [browser.get("/campaigns", headers=wrong).status_code for _ in range(11)] == [401] * 10 + [429]
    assert client(guarded, "2001:db8::2").get("/campaigns", headers=wrong).status_code == 429, "the same network"
    assert client(guarded, "2001:db8:1::2").get("/campaigns", headers=wrong).status_code == 401


def test_neither_sessions_nor_clients_fill_the_memory():
    sessions, tries = Sessions(), Tries()
    first = sessions.begin()
    for _ in range(MOST_SESSIONS):
        last = sessions.begin()
    assert (sessions.has(first), sessions.has(last)) == (False, True)
    for number in range(MOST_CLIENTS + 5):
        tries.add(f"client {number}")
    assert len(tries._times) == MOST_CLIENTS


@pytest.mark.parametrize("garbage", ["", ".", "x.y", "9999999999.", "é.é"])
def test_garbage_is_no_session(guarded, garbage):
    assert not guarded.sessions.has(garbage)


def test_only_the_trusted_proxy_may_say_who_somebody_is():
    rules = access("0.0.0.0", PageSettings(trusted_proxy="10.0.0.0/24"))
    assert rules.proxy == ipaddress.ip_network("10.0.0.0/24")
    headers = {"x-forwarded-user": "ada@example.org"}
    assert "ada@example.org" in client(rules, "10.0.0.7").get("/campaigns", headers=headers).text
    assert client(rules, "10.0.1.7").get("/campaigns", headers=headers).status_code == 403
    assert client(rules, "10.0.0.7").get("/campaigns").status_code == 403
    assert client(rules, "127.0.0.1").get("/campaigns", headers=headers).status_code == 403


def test_a_page_called_by_a_foreign_name_is_refused():
    rules = access("127.0.0.1", PageSettings(names="console.example.org"))
    assert client(rules, name="evil.example").get("/campaigns").status_code == 421
    for name in ("console.example.org", "[::1]"):
        assert client(rules, name=name).get("/campaigns").status_code == 200


@pytest.mark.parametrize("path", ["/campaigns", "/nowhere", "/static/console.css", "/alive"])
def test_every_response_binds_the_browser(path):
    answer = client(access("127.0.0.1", PageSettings())).get(path)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_a_form_without_this_browsers_token_does_nothing(guarded):
    browser = client(guarded)
    assert browser.post("/login", data={"token": TOKEN}).status_code == 403
    browser.get("/login")
    assert browser.post("/login", data={"token": TOKEN, "csrf": "guessed"}).status_code == 403


def test_a_form_from_another_site_does_nothing(guarded):
    browser = client(guarded)
    browser.get("/login")
    fields = {"csrf": browser.cookies["aevolve_csrf"], "token": TOKEN}
    for origin in ("https://evil.example", "null"):
        assert browser.post("/login", data=fields, headers={"origin": origin}).status_code == 403
    assert browser.post("/login", data=fields, headers={"origin": "http://localhost:8787"}).status_code == 303


def test_every_form_asks_for_the_token():
    browser = client(access("127.0.0.1", PageSettings()))
    posts = [route for route in browser.app.routes if "POST" in (getattr(route, "methods", None) or ())]
    assert posts
    for route in posts:
        path = re.sub(r"\{.*?\}", "1", route.path)
        answer = browser.post(path, data={"csrf": ""})
        assert (path, answer.status_code) == (path, 403)


def test_a_wrong_address_ends_the_command_with_2_and_the_remedy(monkeypatch):
    monkeypatch.setenv("AEVOLVE_POSTGRES", "postgresql://127.0.0.1:1/aevolve")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, told in (
            (("--host", "0.0.0.0"), "set AEVOLVE_CONSOLE_TOKEN_FILE"),
            (("--port", port), "or --port 0 for a free one"),
            (("--port", "0"), "start the database"),
        ):
            result = CliRunner().invoke(app, ["console", *arguments])
            assert result.exit_code == 2
            assert told in result.output
    monkeypatch.setenv("AEVOLVE_CONSOLE_TOKEN_FILE", "/nowhere/token")
    assert "name a readable file" in CliRunner().invoke(app, ["console", "--host", "0.0.0.0"]).output


def test_the_address_that_is_printed_is_one_that_the_page_answers_to():
    for host in ("127.0.0.1", "0.0.0.0", "::", "::1"):
        rules = access(host, PageSettings(token_file=None, trusted_proxy="10.0.0.7"))
        assert urlsplit(address(host, 8080)).hostname in rules.hosts
