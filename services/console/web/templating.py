"""Pages from templates. Every value is escaped, because a model's answer may hold anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from audit.decision import short
from audit.narrate import accuracy, narrate, odds
from services.console.view.table import minutes
from services.console.web.context import site
from services.console.web.security import csrf_token, keep_csrf

if TYPE_CHECKING:  # the pages' handlers import this module
    from services.console.web.pages import Page


def environment(pages: Iterable[Page]) -> Environment:
    """The templates of the console by name, and those of each page by `MODULE/NAME`.

    A value that a handler did not give is an error, not an empty place.
    """
    modules = {page.handler.__module__ for page in pages}
    of_pages = PrefixLoader({module: PackageLoader(module) for module in modules})
    templates = Environment(
        loader=ChoiceLoader([of_pages, PackageLoader(__package__)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(FILTERS)
    templates.globals["pages"] = _navigation(pages)
    return templates


def _navigation(pages: Iterable[Page]) -> list[Page]:
    """The pages of the navigation, in order."""
    placed = [(page.position, page) for page in pages if page.position is not None]
    return [page for _, page in sorted(placed, key=lambda pair: pair[0])]


def endpoint(page: Page) -> Callable[[Request], Any]:
    """The handler of a page's route."""

    async def show(request: Request) -> Response:
        shown = await page.handler(request)
        if isinstance(shown, Response):
            return shown
        return render(request, page.template_path, **({"title": page.title} | dict(shown)))

    return show


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A template with its values and those that the layout needs."""
    token = csrf_token(request)
    common = {
        "path": request.url.path,
        "csrf": token,
        "user": request.scope.get("user", ""),
        "head": site(request).live.head,
        "problem": None,
    }
    response = HTMLResponse(fragment(request, template, **(common | values)), status)
    keep_csrf(request, response, token)
    return response


def fragment(request: Request, template: str, **values: Any) -> Markup:
    """A part of a page that is the same for every user."""
    templates: Environment = request.app.state.templates
    return Markup(templates.get_template(template).render(values))  # noqa: S704 - the template escapes its values


def when(time: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{time:%Y-%m-%d %H:%M:%S}"


def number(value: float) -> str:
    """A whole number with thousands separators, or any other in four digits."""
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
"""Filters of the templates."""
