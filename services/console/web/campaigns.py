"""The campaigns: where each stands, and what it has cost so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from eventstore.read import CampaignSummary
from judgement.history import History
from services.console.table import eta
from services.console.web.site import Site, site
from services.console.web.view import page


@dataclass(frozen=True)
class Row:
    """One campaign of the list."""

    summary: CampaignSummary
    """Its start and its end."""
    history: History
    """Its state."""
    left: float | None
    """Seconds that are left, where there is a pace to tell it by."""

    @property
    def state(self) -> str:
        """One word."""
        h = self.history
        return "finished" if h.finished else "stopped" if h.stopped else "paused" if h.paused else "running"


async def overview(request: Request) -> Response:
    """All campaigns, the youngest first."""
    found = site(request)
    rows = [await _row(found, summary) for summary in reversed(await found.store.campaigns())]
    return page(request, "campaigns.html", rows=rows)


async def _row(found: Site, summary: CampaignSummary) -> Row:
    history = await found.histories.of(summary.id)
    return Row(summary, history, eta(history, await found.store.progress(summary.id), datetime.now(UTC)))
