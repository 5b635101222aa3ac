"""The pages that show nothing of the log: the login form, the glossary, and the probe for orchestrators."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from eventstore.errors import DISCONNECTED
from services.console.glossary import terms
from services.console.web.context import site
from services.console.web.security import SESSION, client_of
from services.console.web.sessions import SESSION_SECONDS
from services.console.web.templating import render


async def home(request: Request) -> Response:
    """The first page."""
    return RedirectResponse("/campaigns", 303)


async def login(request: Request) -> dict[str, Any]:
    """The form for the token."""
    return {"then": _own_path(request.query_params.get("then", "/"))}


async def glossary(request: Request) -> dict[str, Any]:
    """The terms that the pages use."""
    return {"terms": terms()}


async def log_in(request: Request, form: FormData) -> Response:
    """Start a session for a browser that sent the token."""
    rules, then = site(request).access, _own_path(str(form.get("then", "/")))
    if not rules.has_token(str(form.get("token", "")).strip()):
        rules.tries.add(client_of(request))
        problem = "token: wrong; copy it from the console's file AEVOLVE_CONSOLE_TOKEN_FILE"
        return render(request, "login.html", status=403, title="Log in", then=then, problem=problem)
    response = RedirectResponse(then, 303)
    secure = request.url.scheme == "https"
    response.set_cookie(
        SESSION, rules.sessions.begin(), max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure
    )
    return response


async def log_out(request: Request, form: FormData) -> Response:
    """End a browser's session: its cookie opens nothing any more, wherever it was copied to."""
    site(request).access.sessions.end(request.cookies.get(SESSION, ""))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(SESSION)
    return response


async def alive(request: Request) -> Response:
    """For probes: 200 if the log answers, else 503."""
    try:
        head = await site(request).store.head()
    except DISCONNECTED:
        return JSONResponse({"healthy": False}, 503)
    return JSONResponse({"healthy": True, "position": head})


def _own_path(path: str) -> str:
    """A path of this site; `/` for an address elsewhere."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
