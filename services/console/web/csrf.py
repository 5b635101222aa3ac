"""Forms that only our own pages can send: a token in the form must be that of the cookie, and the origin ours.

The cookie is sent by this site's own pages alone (SameSite=Strict); a page elsewhere can neither read it nor write it.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

COOKIE = "aevolve_csrf"
FIELD = "csrf"

Action = Callable[[Request, FormData], Awaitable[Response]]
"""What a form does; it gets the form's fields once their origin is proven."""


class Forged(Exception):
    """A form that did not come from our own page."""


def csrf_token(request: Request) -> str:
    """The token for this browser's forms: the cookie's, or a new one."""
    return request.cookies.get(COOKIE) or secrets.token_urlsafe(32)


def keep_csrf(request: Request, response: Response, token: str) -> None:
    """Give the browser its token, where it has none yet."""
    if COOKIE not in request.cookies:
        response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https")


def action(act: Action) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a form. Raises `Forged` before the form does anything."""

    async def endpoint(request: Request) -> Response:
        async with request.form(max_files=1, max_fields=50, max_part_size=1 << 20) as form:
            _check(request, str(form.get(FIELD, "")))
            return await act(request, form)

    return endpoint


def _check(request: Request, token: str) -> None:
    cookie = request.cookies.get(COOKIE, "")
    if not cookie or not hmac.compare_digest(cookie.encode(), token.encode()):
        raise Forged(
            "the form's token is not this browser's: load the page again, with cookies allowed, and send again"
        )
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Forged(f"the form came from {origin}: send it from the console's own page")
