"""What every page is made from: the log, the settings, and what is shared between those who look at the same time."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from eventstore.store import EventStore
from services.console.web.access import Access
from services.console.web.chain import ChainState
from services.console.web.histories import Histories
from services.console.web.live import Live
from services.console.web.page_cache import Drawn
from services.console.web.starts import Starts
from services.runtime.settings import Settings


@dataclass(frozen=True)
class Site:
    """One process's page."""

    store: EventStore
    """The log, as the console's role."""
    settings: Settings
    """Where everything else lies."""
    access: Access
    """Who may open it."""
    histories: Histories
    """Each campaign's state."""
    drawn: Drawn
    """What was drawn of them."""
    live: Live
    """What tells the open pages that the log has grown."""
    chain: ChainState
    """What the last verification of the log found."""

    starts: Starts
    """Campaigns that are being started."""

    @classmethod
    def of(cls, store: EventStore, settings: Settings, access: Access) -> Site:
        """The page of a log."""
        return cls(
            store,
            settings,
            access,
            Histories(store),
            Drawn(),
            Live(store),
            ChainState(store, settings),
            Starts(store, settings),
        )


def site(request: Request) -> Site:
    """The site that a request came to."""
    found: Site = request.app.state.site
    return found
