"""The audit of a campaign's decisions: each decision's page, its recomputation, and other drift thresholds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from audit import decision as audits
from audit.deciders import DECIDES
from audit.replay import substantial, under
from judgement.history import History, fold
from schemas.envelope import Envelope
from services.console.web.context import site
from services.console.web.decision_page import Story, story
from services.console.web.rounds import newest_campaign
from services.console.web.templating import render
from services.runtime.user_error import UserError

STYLES = ("console.css", "charts.css")
STATIC = Path(__file__).parent / "static"

T = TypeVar("T")

_THREAD = ThreadPoolExecutor(1, "recompute")
"""One recomputation at a time, so that one core stays free for the pages."""


async def in_background(work: Callable[[], T]) -> T:
    """The result of work that takes seconds, done in the recomputation thread."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, work)


async def latest(request: Request) -> Response:
    """The decisions of the newest campaign."""
    return RedirectResponse(f"/audit/{await newest_campaign(site(request))}", 303)


async def decisions(request: Request) -> dict[str, Any]:
    """All decisions of a campaign, its policies first."""
    context, id_ = site(request), request.path_params["campaign"]
    history = await context.histories.of(id_)
    envelopes = [envelope async for envelope in context.store.read(campaign=id_, types=list(DECIDES))]
    policies = [envelope for envelope in envelopes if envelope.type == "PolicyUpdated"]
    return {"history": history, "policies": policies, "decisions": envelopes}


async def decision(request: Request) -> dict[str, Any]:
    """One decision: its causes and its outcome."""
    history, shown = await _story(*await _decision(request))
    exponent = math.log10(history.campaign.constitution.drift.threshold)
    name = request.path_params["decision"]
    return {"history": history, "story": shown, "name": name, "linked": True, "exponent": exponent}


async def again(request: Request) -> dict[str, Any]:
    """The decision recomputed from the events up to its basis: identical, or where it differs."""
    envelopes, envelope = await _decision(request)
    audited = await in_background(lambda: audits.audit(envelopes, envelope))
    return _part(request) | {"audited": audited} | _verdict(audited)


async def what_if(request: Request) -> dict[str, Any]:
    """What the campaign would have done under another threshold of the drift test."""
    threshold = f"{10 ** _exponent(request):.3g}"
    envelopes = await _envelopes(request)
    comparison = await in_background(lambda: under(envelopes, {"drift.threshold": threshold}))
    last = comparison.submissions or comparison.parting
    differing = substantial(last) if last else []
    return _part(request) | {"found": comparison, "threshold": float(threshold), "differing": differing}


async def export(request: Request) -> Response:
    """The decision's page and its recomputation as one self-contained file."""
    envelopes, envelope = await _decision(request)
    history, shown = await _story(envelopes, envelope)
    audited = await in_background(lambda: audits.audit(envelopes, envelope))
    css = Markup("\n".join((STATIC / name).read_text() for name in STYLES))  # noqa: S704 - our own files
    values: dict[str, Any] = {"history": history, "story": shown, "linked": False, "css": css, "audited": audited}
    response = render(request, "export.html", **(values | _verdict(audited)))
    file = f"{history.id}-{envelope.sequence}.html"
    response.headers["Content-Disposition"] = f'attachment; filename="{file}"'
    return response


def _verdict(audited: audits.Audit) -> dict[str, Any]:
    return {"verdict": list(audits.verdict(audited)), "artifacts": audits.states(audited.artifacts)}


def _part(request: Request) -> dict[str, Any]:
    """Whether a script asks for the answer alone, or a browser without scripts for a whole page."""
    return {"part": "x-part" in request.headers, "campaign": request.path_params["campaign"]}


async def _story(envelopes: Sequence[Envelope], envelope: Envelope) -> tuple[History, Story]:
    """The campaign's state and the decision's page, made in a thread: so from a history that is not shared."""

    def make() -> tuple[History, Story]:
        history = fold(envelope.correlationid, envelopes)
        return history, story(history, envelopes, envelope)

    return await asyncio.to_thread(make)


async def _decision(request: Request) -> tuple[list[Envelope], Envelope]:
    envelopes = await _envelopes(request)
    return envelopes, audits.find(envelopes, request.path_params["decision"])


async def _envelopes(request: Request) -> list[Envelope]:
    """All of the campaign's events. Raises `UnknownCampaign`."""
    context, id_ = site(request), request.path_params["campaign"]
    await context.histories.of(id_)
    return [envelope async for envelope in context.store.read(campaign=id_)]


def _exponent(request: Request) -> float:
    """The slider's value: the decimal logarithm of the threshold. Raises `UserError`."""
    text = request.query_params.get("exponent", "")
    try:
        exponent = float(text)
    except ValueError as error:
        raise UserError(
            f"exponent: {text!r} is not a number; give the logarithm of a threshold, such as 2 for 100"
        ) from error
    if not 0 < exponent <= 12:
        raise UserError(f"exponent: {text} is out of range; give a number above 0 and at most 12")
    return exponent
