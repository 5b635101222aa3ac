"""The campaigns: where each stands, what it has cost so far, and what a person may do about it."""

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
from services.console.campaign_control import say
from services.console.cli import DEMO
from services.console.table import eta
from services.console.web.context import Site, site
from services.console.web.scheduler import ask_for
from services.console.web.templating import page
from services.runtime.user_error import UserError, nearest

SIZE = 25
"""Campaigns on a page: the state of each is folded from its events."""

WORDS: dict[str, type[CampaignPaused | CampaignResumed | CampaignStopped]] = {
    "pause": CampaignPaused,
    "resume": CampaignResumed,
    "stop": CampaignStopped,
}
"""What a person may tell a running campaign."""


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
    """A page of the campaigns, the youngest first, and the starts that are still to come."""
    found, before = site(request), request.query_params.get("before")
    known = (await found.store.campaigns())[::-1]
    begin = 1 + next((n for n, summary in enumerate(known) if summary.id == before), -1)
    shown = known[begin : begin + SIZE]
    rows = [await _row(found, summary) for summary in shown]
    older = shown[-1].id if known[begin + SIZE :] else ""
    return page(request, "campaigns.html", rows=rows, older=older, schedules=await found.store.ask("schedules"))


async def _row(found: Site, summary: CampaignSummary) -> Row:
    history = await found.histories.of(summary.id)
    return Row(summary, history, eta(history, await found.store.progress(summary.id), datetime.now(UTC)))


async def one(request: Request) -> Response:
    """One campaign: its budget, its cost, and the forms that steer it."""
    found, id_ = site(request), request.path_params["campaign"]
    await found.histories.of(id_)
    summary = next(known for known in await found.store.campaigns() if known.id == id_)
    return page(request, "campaign.html", row=await _row(found, summary), words=list(WORDS))


async def steer(request: Request, form: FormData) -> Response:
    """Pause, resume or stop a campaign."""
    id_, word = request.path_params["campaign"], str(form.get("word", ""))
    if word not in WORDS:
        raise UserError(f"word: {word!r} is nothing a campaign can be told; {nearest(word, WORDS)}")
    reason = str(form.get("reason", "")).strip() or "by hand"
    await say(site(request).store, id_, WORDS[word](by=request.scope["user"], reason=reason))
    return RedirectResponse(f"/campaigns/{id_}", 303)


async def new(request: Request) -> Response:
    """The form for a new campaign, with the demo's file to begin with."""
    return await _form(request, {"text": DEMO.read_text(), "cron": "", "warm_from": ""})


async def start(request: Request, form: FormData) -> Response:
    """Keep a start, after everything that the command would say about the file has been said."""
    upload = form.get("file")
    given: dict[str, Any] = {name: str(form.get(name, "")).strip() for name in ("cron", "warm_from")} | {"file": ""}
    text = str(form.get("text", ""))
    if isinstance(upload, UploadFile) and upload.filename:
        given["file"], text = upload.filename, (await upload.read()).decode(errors="replace")
    try:
        await ask_for(site(request).store, text, given, request.scope["user"], datetime.now(UTC))
    except UserError as problem:
        return await _form(request, given | {"text": text}, str(problem))
    return RedirectResponse("/campaigns", 303)


async def forget(request: Request, form: FormData) -> Response:
    """Drop a schedule, or a start that could not be made."""
    await site(request).store.ask("drop_schedule", request.path_params["schedule"])
    return RedirectResponse("/campaigns", 303)


async def _form(request: Request, given: dict[str, Any], problem: str | None = None) -> Response:
    known = [summary.id for summary in reversed(await site(request).store.campaigns())]
    return page(request, "start.html", status=422 if problem else 200, given=given, known=known, problem=problem)
