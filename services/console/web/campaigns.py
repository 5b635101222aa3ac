"""The campaigns: state and cost of each, the forms that pause, resume and stop one, and the form that starts one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from eventstore.read import CampaignSummary
from judgement.history import History
from schemas.events import CampaignPaused, CampaignResumed, CampaignStopped
from schemas.unreadable import UnreadableEvent
from services.console.campaign_control import control
from services.console.paths import DEMO_CAMPAIGN
from services.console.view.progress import data_wait, seconds_left
from services.console.web.context import Site, site
from services.console.web.templating import render
from services.runtime.user_error import UserError, nearest

SIZE = 25
"""Campaigns per page: the state of each is folded from its events."""

ACTIONS: dict[str, type[CampaignPaused | CampaignResumed | CampaignStopped]] = {
    "pause": CampaignPaused,
    "resume": CampaignResumed,
    "stop": CampaignStopped,
}
"""Name of an action on a running campaign -> its event."""


@dataclass(frozen=True)
class Row:
    """One campaign of the list."""

    summary: CampaignSummary
    """Its start and its end."""
    history: History | None
    """Its state; None where its start cannot be read."""
    left: float | None
    """Seconds left; None where the pace is not known yet."""

    @property
    def state(self) -> str:
        """`running`, `paused`, `stopped`, `finished`, `no data` or `unreadable`."""
        if (h := self.history) is None:
            return "unreadable"
        if h.finished and h.finished.reason == "no data":
            return "no data"
        return next((name for name in ("finished", "stopped", "unreadable", "paused") if getattr(h, name)), "running")


async def overview(request: Request) -> dict[str, Any]:
    """A page of campaigns, newest first, and the starts that are under way or failed."""
    context, before = site(request), request.query_params.get("before")
    newest_first = (await context.store.campaigns())[::-1]
    begin = 1 + next((n for n, summary in enumerate(newest_first) if summary.id == before), -1)
    shown = newest_first[begin : begin + SIZE]
    rows = [await _row_or_unreadable(context, summary) for summary in shown]
    older = shown[-1].id if newest_first[begin + SIZE :] else ""
    return {"rows": rows, "older": older, "starts": list(context.starts.pending.values())}


async def _row(context: Site, summary: CampaignSummary) -> Row:
    history = await context.histories.of(summary.id)
    return Row(summary, history, seconds_left(history, await context.store.progress(summary.id), datetime.now(UTC)))


async def _row_or_unreadable(context: Site, summary: CampaignSummary) -> Row:
    try:
        return await _row(context, summary)
    except UnreadableEvent:  # its own page says which event; the other campaigns are no worse for it
        return Row(summary, None, None)


async def campaign(request: Request) -> dict[str, Any]:
    """One campaign: its state, budget and cost, and the forms that control it."""
    context, id_ = site(request), request.path_params["campaign"]
    await context.histories.of(id_)
    summary = next(summary for summary in await context.store.campaigns() if summary.id == id_)
    row = await _row(context, summary)
    return {"row": row, "waits": data_wait(row.history, await context.store.progress(id_)) if row.history else None}


async def steer(request: Request, form: FormData) -> Response:
    """Pause, resume or stop a campaign."""
    id_, action = request.path_params["campaign"], str(form.get("action", ""))
    if action not in ACTIONS:
        raise UserError(f"action: {action!r} is unknown; {nearest(action, ACTIONS)}")
    reason = str(form.get("reason", "")).strip() or "by hand"
    await control(site(request).store, id_, ACTIONS[action](by=request.scope["user"], reason=reason))
    return RedirectResponse(f"/campaigns/{id_}", 303)


async def new(request: Request) -> dict[str, Any]:
    """The form for a new campaign, filled with the demo's file."""
    return {"text": DEMO_CAMPAIGN.read_text(), "warm_from": "", "campaigns": await _ids(request)}


async def start(request: Request, form: FormData) -> Response:
    """Start a campaign; a wrong file is reported as `aevolve start` reports it."""
    upload, text, file = form.get("file"), str(form.get("text", "")), ""
    warm_from = str(form.get("warm_from", "")).strip()
    if isinstance(upload, UploadFile) and upload.filename:
        file, text = upload.filename, (await upload.read()).decode(errors="replace")
    try:
        await site(request).starts.add(text, file, warm_from, request.scope["user"])
    except UserError as error:
        values = {"text": text, "warm_from": warm_from, "campaigns": await _ids(request), "problem": str(error)}
        return render(request, "start.html", status=422, title="Start a campaign", **values)
    return RedirectResponse("/campaigns", 303)


async def forget(request: Request, form: FormData) -> Response:
    """Remove a failed start from the list."""
    pending, id_ = site(request).starts.pending, request.path_params["campaign"]
    if id_ in pending and pending[id_].problem:
        del pending[id_]
    return RedirectResponse("/campaigns", 303)


async def _ids(request: Request) -> list[str]:
    return [summary.id for summary in reversed(await site(request).store.campaigns())]
