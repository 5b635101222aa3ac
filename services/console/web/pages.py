"""The pages of the console, and those that other packages add by the entry-point group `aevolve.pages`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from services.console.web import audit, campaigns, data, health, log, login, rounds
from services.runtime.user_error import UserError

GROUP = "aevolve.pages"
"""Entry-point group: each entry names a `Page`."""

Handler = Callable[[Request], Awaitable[Mapping[str, Any] | Response]]
"""Returns the values for the page's template, or a response of its own, such as a redirect."""


@dataclass(frozen=True)
class Page:
    """One page. It is shown to those who may open the console, and only to them."""

    path: str
    """Address, with parameters as Starlette writes them: `/rounds/{campaign}`."""
    title: str
    """Title, and name in the navigation."""
    handler: Handler
    """Reads the log and returns what the template shows."""
    template: str
    """Jinja template in the folder `templates` beside the handler's module; it extends `layout.html`."""
    position: float | None = None
    """Place in the navigation, lowest first; None for a page that is not in it."""

    @property
    def template_path(self) -> str:
        """Name of the template for the loader."""
        return f"{self.handler.__module__}/{self.template}"


PAGES = (
    Page("/login", "Log in", login.login, "login.html"),
    Page("/campaigns", "Campaigns", campaigns.overview, "campaigns.html", 10),
    Page("/campaigns/start", "Start a campaign", campaigns.new, "start.html"),
    Page("/campaigns/{campaign}", "Campaign", campaigns.campaign, "campaign.html"),
    Page("/rounds", "Rounds", rounds.latest, "rounds.html", 20),
    Page("/rounds/{campaign}", "Rounds", rounds.rounds, "rounds.html"),
    Page("/rounds/{campaign}/{candidate}", "Candidate", rounds.candidate, "candidate.html"),
    Page("/audit", "Audit", audit.latest, "decisions.html", 30),
    Page("/audit/{campaign}", "Decisions", audit.decisions, "decisions.html"),
    Page("/audit/{campaign}/what-if", "Another threshold", audit.what_if, "what_if.html"),
    Page("/audit/{campaign}/{decision}", "Decision", audit.decision, "decision.html"),
    Page("/audit/{campaign}/{decision}/again", "Recomputed", audit.again, "again.html"),
    Page("/log", "Log", log.stream, "log.html", 40),
    Page("/log/{position:int}", "Event", log.event, "event.html"),
    Page("/data", "Data", data.overview, "data.html", 50),
    Page("/data/{campaign}/{round:int}", "Samples", data.samples, "samples.html"),
    Page("/health", "Health", health.overview, "health.html", 60),
    Page("/health/letters", "Dead letters", health.dead_letters, "letters.html"),
    Page("/glossary", "Glossary", login.glossary, "glossary.html"),
)
"""The pages of the console."""


def with_external(pages: Iterable[Page]) -> list[Page]:
    """The pages of the console and those of other packages.

    Raises `UserError` for an entry point that names something else, or a page whose address is taken.
    """
    by_path = {page.path: page for page in pages}
    for entry in entry_points(group=GROUP):
        page = entry.load()
        if not isinstance(page, Page):
            raise UserError(f"{GROUP}: {entry.name} = {entry.value}; it is not a services.console.web.pages.Page")
        if page.path in by_path:
            raise UserError(f"{GROUP}: {entry.name} = {entry.value}; {page.path} is taken: give the page another path")
        by_path[page.path] = page
    return list(by_path.values())
