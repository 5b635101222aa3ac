"""What stands before every page: the name it was called by, who calls, and the headers that bind the browser.

No script or style but our own files runs, nothing is fetched from elsewhere, and no other site may frame a page.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.console.client import operator
from services.console.web.access import Access

SESSION = "aevolve_session"
"""Cookie of a browser that has shown the token."""
OPEN = ("/login", "/alive")
"""What is served to everybody, with the style: the form for the token, and the probe."""

LONGEST_NAME = 200
"""Characters of a user's name: it is kept in the log."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: a browser would then say `Origin: null` of our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""On every response."""


class Guard:
    """Lets through what may pass, with the user's name in `scope["user"]`."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def bound(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(Request(scope), scope)
        await (refusal or self.app)(scope, receive, bound)

    def _refusal(self, request: Request, scope: Scope) -> Response | None:
        """Why a request may not pass; None where it may."""
        name = host_name(request.headers)
        if name not in self.access.hosts:
            return PlainTextResponse(f"{name!r} is not a name of this page; AEVOLVE_CONSOLE_NAMES adds one", 421)
        user = self._user(request)
        path = request.url.path
        if user is None and path not in OPEN and not path.startswith("/static/"):
            return self._unknown(request)
        scope["user"] = user or ""
        return None

    def _user(self, request: Request) -> str | None:
        """Who calls; None for a stranger."""
        rules = self.access
        client = request.client.host if request.client else ""
        if user := rules.vouched(client, request.headers.get(rules.header)):
            return user[:LONGEST_NAME]
        if rules.token is None:
            return None if rules.proxy else operator()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        shown = scheme.lower() == "bearer" and rules.has_token(token)
        return "token" if shown or rules.has_session(request.cookies.get(SESSION, "")) else None

    def _unknown(self, request: Request) -> Response:
        if self.access.token is None:
            return PlainTextResponse(f"log in by the proxy, which says who you are in {self.access.header}", 403)
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"/login?then={quote(request.url.path)}", 303)
        return PlainTextResponse("show the token: Authorization: Bearer TOKEN", 401, {"WWW-Authenticate": "Bearer"})


def host_name(headers: Headers) -> str:
    """What the browser calls this site, without the port."""
    host = headers.get("host", "").lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
