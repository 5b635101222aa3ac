"""Who may open the page, and which requests and forms are accepted.

On loopback every user of the machine may open it. On any other address it starts only with a token or a trusted proxy.
Only the console's own scripts and styles run, nothing is loaded from another host, and no other site may frame a page.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes, urlsplit

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from starlette.datastructures import FormData, Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.console.client import operator
from services.console.web.sessions import TRY_SECONDS, Sessions, Tries
from services.runtime.user_error import UserError

SHORTEST_TOKEN = 24
"""Characters: a random token of this length cannot be guessed."""
SESSION = "aevolve_session"
"""Cookie of a browser that has sent the token."""
LOCAL = ("localhost", "127.0.0.1", "::1")
"""Names of this machine that a browser may use for the page."""
OPEN = ("/login", "/alive")
"""Served to everybody, like the static files: the form for the token, and the probe."""
LONGEST_ADDRESS = 4_000
"""Bytes of path and query; no page needs more, and Python reads no number of more digits."""
LONGEST_NAME = 200
"""Characters of a user's name: the log keeps it."""
CSRF_COOKIE, CSRF_FIELD = "aevolve_csrf", "csrf"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With `no-referrer` a browser sends `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""On every response."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

Action = Callable[[Request, FormData], Awaitable[Response]]
"""Handles a form; it gets the form's fields after their origin is checked."""


class PageSettings(BaseSettings):
    """How the page may be reached; each field is the variable `AEVOLVE_CONSOLE_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="AEVOLVE_CONSOLE_", use_attribute_docstrings=True)

    token_file: Path | None = None
    """File with the token that opens the page, of 24 characters at least."""
    trusted_proxy: str | None = None
    """Address or network (CIDR) of the proxy that authenticates users and names them in a header."""
    user_header: str = "X-Forwarded-User"
    """The header in which that proxy names the user; the proxy must remove it from incoming requests."""
    names: str = ""
    """Further host names of the page, separated by commas, such as `aevolve.example.org`."""


@dataclass(frozen=True)
class Access:
    """The rules of one page."""

    hosts: frozenset[str]
    """Accepted values of `Host`, without port; another name may belong to a site that points here."""
    token: str | None = None
    """The token that opens the page; None where no token is needed."""
    proxy: Network | None = None
    """Where requests must come from, with the user's name in `header`."""
    header: str = "X-Forwarded-User"
    """The proxy's header."""
    sessions: Sessions = field(default_factory=Sessions)
    """The browsers that have sent the token."""
    tries: Tries = field(default_factory=Tries)
    """The clients that have sent wrong ones."""

    def proxy_user(self, client: str, user: str | None) -> str | None:
        """The user named by the trusted proxy; None if the client is not the proxy or names nobody."""
        try:
            trusted = self.proxy is not None and ipaddress.ip_address(client) in self.proxy
        except ValueError:
            return None
        return user if trusted and user else None

    def has_token(self, text: str) -> bool:
        """Whether this is the token."""
        return self.token is not None and hmac.compare_digest(text.encode(), self.token.encode())


def access(host: str, settings: PageSettings) -> Access:
    """The rules for a page on this address. Raises `UserError` for a page that everybody could open."""
    token = _token(settings.token_file) if settings.token_file else None
    proxy = _network(settings.trusted_proxy) if settings.trusted_proxy else None
    if not (token or proxy or _is_loopback(host)):
        raise UserError(
            f"--host: {host}; others than this machine's users could open the page: set AEVOLVE_CONSOLE_TOKEN_FILE, or "
            "AEVOLVE_CONSOLE_TRUSTED_PROXY where a proxy authenticates users, or listen on 127.0.0.1"
        )
    names = (name.strip().lower() for name in settings.names.split(","))
    hosts = frozenset({*LOCAL, host.lower(), *names} - {"", "0.0.0.0", "::"})  # noqa: S104 - these are no names
    return Access(hosts, token, proxy, settings.user_header)


def page_settings() -> PageSettings:
    """The settings of the environment. Raises `UserError` for a wrong value."""
    try:
        return PageSettings()
    except ValidationError as error:
        lines = (f"AEVOLVE_CONSOLE_{str(d['loc'][0]).upper()}: {d['input']!r}; {d['msg']}" for d in error.errors())
        raise UserError("\n".join(lines)) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token(file: Path) -> str:
    try:
        token = file.read_text().strip()
    except OSError as error:
        raise UserError(f"AEVOLVE_CONSOLE_TOKEN_FILE: {file}; {error.strerror}: name a readable file") from error
    if len(token) < SHORTEST_TOKEN:
        raise UserError(
            f"AEVOLVE_CONSOLE_TOKEN_FILE: {file}; a token of {len(token)} characters can be guessed: use at least "
            f"{SHORTEST_TOKEN}, for example from `openssl rand -hex 32`"
        )
    return token


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise UserError(
            f"AEVOLVE_CONSOLE_TRUSTED_PROXY: {text!r}; not an address or network: write it as 10.0.0.7 or 10.0.0.0/24"
        ) from error


class Guard:
    """Middleware that refuses unknown hosts and users, and puts the user's name into `scope["user"]`."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(Request(scope), scope)
        await (refusal or self.app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request, scope: Scope) -> Response | None:
        """The response to a request that may not pass; None for one that may."""
        name = _host_name(request.headers)
        if name not in self.access.hosts:
            return PlainTextResponse(f"{name!r} is not a name of this page; AEVOLVE_CONSOLE_NAMES adds one", 421)
        if (malformed := _malformed(scope)) is not None:
            return malformed
        if self._exhausted(request):
            return too_many_tries()
        user = self._user(request)
        path = request.url.path
        if user is None and path not in OPEN and not path.startswith("/static/"):
            return self._login(request)
        scope["user"] = user or ""
        return None

    def _user(self, request: Request) -> str | None:
        """The user's name; None for an unknown user."""
        rules = self.access
        client = client_of(request)
        if user := rules.proxy_user(client, request.headers.get(rules.header)):
            return user[:LONGEST_NAME]
        if rules.token is None:
            return None if rules.proxy else operator()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and not rules.has_token(token):
            rules.tries.add(client)
        has_token = scheme.lower() == "bearer" and rules.has_token(token)
        return "token" if has_token or rules.sessions.has(request.cookies.get(SESSION, "")) else None

    def _exhausted(self, request: Request) -> bool:
        """Whether the request has a token that is not read, after too many wrong ones."""
        rules, sends_token = self.access, request.headers.get("authorization", "")
        is_try = rules.token is not None and (sends_token or (request.method, request.url.path) == ("POST", "/login"))
        return bool(is_try) and rules.tries.exhausted(client_of(request))

    def _login(self, request: Request) -> Response:
        if self.access.token is None:
            return PlainTextResponse(f"log in at the proxy, which names the user in {self.access.header}", 403)
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"/login?then={quote(request.url.path)}", 303)
        return PlainTextResponse("send the token: Authorization: Bearer TOKEN", 401, {"WWW-Authenticate": "Bearer"})


def client_of(request: Request) -> str:
    """The address of the client; that of the proxy, where there is one."""
    return request.client.host if request.client else ""


def too_many_tries() -> Response:
    """The response to a further token after too many wrong ones."""
    text = f"too many wrong tokens: try again in {TRY_SECONDS:.0f} seconds"
    return PlainTextResponse(text, 429, {"Retry-After": f"{TRY_SECONDS:.0f}"})


def _malformed(scope: Scope) -> Response | None:
    """The response to an address that no page has: the log holds no text with a NUL, nor one that is not UTF-8."""
    raw, query = scope.get("raw_path") or scope["path"].encode(), scope["query_string"]
    if len(raw) + len(query) > LONGEST_ADDRESS:
        return PlainTextResponse(f"the address has more than {LONGEST_ADDRESS:,} bytes", 414)
    if not _is_text(unquote_to_bytes(raw)):
        return PlainTextResponse("no such page: its path holds a NUL, or is not UTF-8", 404)
    if not _is_text(unquote_to_bytes(query)):
        return PlainTextResponse("the query holds a NUL, or is not UTF-8: correct the address", 400)
    return None


def _is_text(raw: bytes) -> bool:
    try:
        return "\0" not in raw.decode()
    except UnicodeDecodeError:
        return False


def _host_name(headers: Headers) -> str:
    """The host of the request, without the port."""
    host = headers.get("host", "").lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


class Forged(Exception):
    """A form that did not come from the console's own page."""


def action(act: Action) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a form, with its token and origin checked. Raises `Forged` before the form does anything.

    The cookie goes to this site's own pages alone (SameSite=Strict), and no other site can read or write it.
    """

    async def endpoint(request: Request) -> Response:
        async with request.form(max_files=1, max_fields=50, max_part_size=1 << 20) as form:
            cookie, token = request.cookies.get(CSRF_COOKIE, ""), str(form.get(CSRF_FIELD, ""))
            if not cookie or not hmac.compare_digest(cookie.encode(), token.encode()):
                raise Forged("the form's token is not this browser's: allow cookies, reload the page and send it again")
            origin = request.headers.get("origin")
            if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
                raise Forged(f"the form came from {origin}: send it from the console's own page")
            for name, value in form.multi_items():
                if "\0" in name or (isinstance(value, str) and "\0" in value):
                    raise UserError(f"{name!r}: it holds a NUL, which the log cannot keep: remove it")
            return await act(request, form)

    return endpoint


def csrf_token(request: Request) -> str:
    """The token for this browser's forms: the cookie's, or a new one."""
    return request.cookies.get(CSRF_COOKIE) or secrets.token_urlsafe(32)


def keep_csrf(request: Request, response: Response, token: str) -> None:
    """Set the cookie in a browser that has none yet."""
    if CSRF_COOKIE not in request.cookies:
        response.set_cookie(CSRF_COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https")
