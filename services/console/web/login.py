"""The way in: the form for the token, and the probe that says whether the page can see the log."""

from __future__ import annotations

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from eventstore.errors import DISCONNECTED
from services.console.web.access import SESSION_SECONDS
from services.console.web.context import site
from services.console.web.middleware import SESSION
from services.console.web.templating import page


async def home(request: Request) -> Response:
    """The first page."""
    return RedirectResponse("/campaigns", 303)


async def login(request: Request) -> Response:
    """The form for the token."""
    return page(request, "login.html", then=_inside(request.query_params.get("then", "/")))


async def show_token(request: Request, form: FormData) -> Response:
    """Let a browser in that knows the token."""
    rules, then = site(request).access, _inside(str(form.get("then", "/")))
    if not rules.has_token(str(form.get("token", "")).strip()):
        problem = "this is not the token; it stands in the file AEVOLVE_CONSOLE_TOKEN_FILE of the console"
        return page(request, "login.html", status=403, then=then, problem=problem)
    response = RedirectResponse(then, 303)
    secure = request.url.scheme == "https"
    response.set_cookie(
        SESSION, rules.session(), max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure
    )
    return response


async def forget(request: Request, form: FormData) -> Response:
    """End a browser's session."""
    response = RedirectResponse("/login", 303)
    response.delete_cookie(SESSION)
    return response


async def alive(request: Request) -> Response:
    """For probes: 200 where the log answers, else 503."""
    try:
        head = await site(request).store.head()
    except DISCONNECTED:
        return JSONResponse({"healthy": False}, 503)
    return JSONResponse({"healthy": True, "position": head})


def _inside(path: str) -> str:
    """A path of this site; the first page for an address elsewhere."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
