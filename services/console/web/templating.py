"""Pages from templates: everything that is put into one is escaped, because a model's answer may hold anything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from audit.decision import short
from audit.narrate import accuracy, narrate, odds
from services.console.view.table import minutes
from services.console.web.context import site
from services.console.web.csrf import csrf_token, keep_csrf

PAGES = (
    ("Campaigns", "/campaigns"),
    ("Rounds", "/rounds"),
    ("Audit", "/audit"),
    ("Log", "/log"),
    ("Data", "/data"),
    ("Health", "/health"),
)
"""The navigation, in its order."""


@cache
def templates() -> Environment:
    """The templates of this package. A name that a page forgot to give is an error, not an empty place."""
    found = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(FILTERS)
    found.globals["pages"] = PAGES
    return found


def page(request: Request, template: str, *, status: int = 200, **shown: Any) -> HTMLResponse:
    """A page, with what all pages need besides what is shown."""
    token = csrf_token(request)
    found = site(request)
    common = {"path": request.url.path, "csrf": token, "user": request.scope.get("user", ""), "head": found.live.head}
    text = templates().get_template(template).render(common | {"problem": None} | shown)
    response = HTMLResponse(text, status)
    keep_csrf(request, response, token)
    return response


def drawn(template: str, **shown: Any) -> Markup:
    """A part of a page, which is the same for everybody."""
    return Markup(templates().get_template(template).render(shown))  # noqa: S704  # templates escape what they show


def when(time: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{time:%Y-%m-%d %H:%M:%S}"


def number(value: float) -> str:
    """A count with thousands apart, or a number in four digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


FILTERS: dict[str, Callable[..., Any]] = {
    "accuracy": accuracy,
    "when": when,
    "number": number,
    "odds": odds,
    "short": short,
    "clock": minutes,
    "narrate": narrate,
}
"""What templates may call."""
