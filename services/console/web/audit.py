"""The audit of a campaign's decisions: their stories, the same decision taken again, and what other rules would do."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from audit import decision as audits
from audit.replay import substantial, under
from judgement.decisions import DECIDES
from judgement.history import History, fold
from schemas.envelope import Envelope
from services.console.web.background import aside
from services.console.web.context import site
from services.console.web.decision_page import Story, story
from services.console.web.rounds import youngest
from services.console.web.templating import page
from services.runtime.user_error import UserError

STYLES = ("console.css", "charts.css")
STATIC = Path(__file__).parent / "static"


async def latest(request: Request) -> Response:
    """The decisions of the campaign that was started last."""
    return RedirectResponse(f"/audit/{await youngest(site(request))}", 303)


async def decisions(request: Request) -> Response:
    """All decisions of a campaign, the shifts of its policy first."""
    found, id_ = site(request), request.path_params["campaign"]
    history = await found.histories.of(id_)
    said = [envelope async for envelope in found.store.read(campaign=id_, types=list(DECIDES))]
    policies = [envelope for envelope in said if envelope.type == "PolicyUpdated"]
    return page(request, "decisions.html", history=history, policies=policies, said=said)


async def decision(request: Request) -> Response:
    """One decision's story."""
    history, told = await _story(*await _decision(request))
    exponent = math.log10(history.campaign.constitution.drift.threshold)
    return page(
        request, "decision.html", history=history, story=told, name=_name(request), linked=True, exponent=exponent
    )


async def again(request: Request) -> Response:
    """The decision taken again on the events up to its basis: identical, or where it differs."""
    envelopes, taken = await _decision(request)
    audited = await aside(lambda: audits.audit(envelopes, taken))
    return _answer(request, "again.html", audited=audited, **_repetition(audited))


async def what_if(request: Request) -> Response:
    """How the campaign would have gone under another threshold of the drift test."""
    threshold = f"{10 ** _exponent(request):.3g}"
    envelopes = await _envelopes(request)
    found = await aside(lambda: under(envelopes, {"drift.threshold": threshold}))
    last = found.submissions or found.parting
    differing = substantial(last) if last else []
    return _answer(request, "what_if.html", found=found, threshold=float(threshold), differing=differing)


async def export(request: Request) -> Response:
    """The story and its repetition as one file that needs nothing else."""
    envelopes, taken = await _decision(request)
    history, told = await _story(envelopes, taken)
    audited = await aside(lambda: audits.audit(envelopes, taken))
    css = Markup("\n".join((STATIC / name).read_text() for name in STYLES))  # noqa: S704 - our own files
    repetition = _repetition(audited)
    shown: dict[str, Any] = {"history": history, "story": told, "linked": False, "css": css, "audited": audited}
    response = page(request, "export.html", **(shown | repetition))
    file = f"{history.id}-{told.decision.sequence}.html"
    response.headers["Content-Disposition"] = f'attachment; filename="{file}"'
    return response


def _repetition(audited: audits.Audit) -> dict[str, Any]:
    return {"verdict": list(audits.verdict(audited)), "artifacts": audits.states(audited.artifacts)}


def _answer(request: Request, template: str, **shown: Any) -> Response:
    """An answer: a part for the page that asked, or a page where nothing but a form is at hand."""
    return page(request, template, part="x-part" in request.headers, campaign=request.path_params["campaign"], **shown)


async def _story(envelopes: Sequence[Envelope], taken: Envelope) -> tuple[History, Story]:
    """The campaign's state and the story, beside the loop: so the state is folded anew, not the one that all share."""

    def tell() -> tuple[History, Story]:
        history = fold(taken.correlationid, envelopes)
        return history, story(history, envelopes, taken)

    return await asyncio.to_thread(tell)


async def _decision(request: Request) -> tuple[list[Envelope], Envelope]:
    envelopes = await _envelopes(request)
    return envelopes, audits.find(envelopes, _name(request))


async def _envelopes(request: Request) -> list[Envelope]:
    """All of the campaign's events. Raises `UnknownCampaign`."""
    found, id_ = site(request), request.path_params["campaign"]
    await found.histories.of(id_)
    return [envelope async for envelope in found.store.read(campaign=id_)]


def _name(request: Request) -> str:
    name: str = request.path_params["decision"]
    return name


def _exponent(request: Request) -> float:
    """The slider's value, the logarithm of the threshold. Raises `UserError`."""
    given = request.query_params.get("exponent", "")
    try:
        exponent = float(given)
    except ValueError as error:
        raise UserError(
            f"exponent: {given!r} is no number; give the logarithm of a threshold, such as 2 for 100"
        ) from error
    if not 0 < exponent <= 12:
        raise UserError(f"exponent: {given} is no logarithm of a threshold; give one above 0, and 12 at the most")
    return exponent
