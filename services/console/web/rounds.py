"""The rounds of a campaign: the picture, the candidates as they come along, and one candidate in full."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from judgement.history import History
from judgement.trial import Trial
from schemas.base import canonical_json
from schemas.envelope import Envelope, candidate_stream
from schemas.events import ScoresReported
from schemas.recipe import show
from schemas.scores import BASE
from services.console.log_source import choose
from services.console.report.data import KINDS, TOLD, course
from services.console.report.marks import drift_notes, policy_notes
from services.console.view.progress import Progress, data_wait, loss, state
from services.console.web.context import Site, site
from services.console.web.rounds_chart import rounds_chart
from services.console.web.samples import samples
from services.console.web.templating import drawn, page
from services.runtime.storage.artifacts import join
from services.runtime.user_error import nearest


@dataclass(frozen=True)
class Knob:
    """One setting of a recipe."""

    name: str
    """Its path."""
    value: str
    """What the candidate has."""
    before: str | None
    """What the standing recipe had, where it was another."""


async def latest(request: Request) -> Response:
    """The rounds of the campaign that was started last."""
    return RedirectResponse(f"/rounds/{await youngest(site(request))}", 303)


async def youngest(found: Site) -> str:
    """The campaign that was started last. Raises `UserError` where there is none."""
    return choose([known.id for known in await found.store.campaigns()], None)


async def rounds(request: Request) -> Response:
    """All rounds of a campaign, the youngest first."""
    found, id_ = site(request), request.path_params["campaign"]
    history, progress = await found.histories.of(id_), await found.store.progress(id_)
    content = await found.drawn.of(
        ("rounds", id_), (history.position, canonical_json(progress)), lambda: _drawn(found, history, progress)
    )
    return page(request, "rounds.html", campaign=id_, content=content)


async def _drawn(found: Site, history: History, progress: Progress) -> Markup:
    report = course(history, [envelope async for envelope in found.store.read(campaign=history.id, types=TOLD)])
    return drawn(
        "rounds_content.html",
        history=history,
        waits=data_wait(history, progress),
        report=report,
        chart=rounds_chart(report),
        drifts={note.round: note for note in drift_notes(report)},
        policies={note.round: note for note in policy_notes(report)},
        now={t.candidate: (state(history, t, progress), loss(history, t, progress)) for t in _tried(history)},
    )


def _tried(history: History) -> list[Trial]:
    return [trial for trial in history.trials.values() if trial.recipe]


async def candidate(request: Request) -> Response:
    """One candidate: its recipe, what became of it, its scores with their receipts, and what it answers."""
    found, (id_, name) = site(request), (request.path_params["campaign"], request.path_params["candidate"])
    history = await found.histories.of(id_)
    if name not in history.trials:
        raise HTTPException(404, f"candidate: {name!r} is not in {id_}; {nearest(name, history.trials)}")
    told = [envelope async for envelope in found.store.read(campaign=id_, stream=candidate_stream(id_, name))]
    trial, progress = history.trials[name], await found.store.progress(id_)
    scored = {x.event.kind: x.event for x in told if isinstance(x.event, ScoresReported)}
    return page(
        request,
        "candidate.html",
        history=history,
        trial=trial,
        told=told,
        state="the base model" if name == BASE else state(history, trial, progress),
        loss=loss(history, trial, progress),
        knobs=knobs(trial),
        kinds=[kind for kind in KINDS if kind in trial.scores],
        receipts=_receipts(told),
        samples=await asyncio.to_thread(samples, scored["dev"], _folders(found)) if "dev" in scored else [],
    )


def _folders(found: Site) -> list[str]:
    return [join(found.settings.artifacts, "receipts")]


def _receipts(told: Sequence[Envelope]) -> list[tuple[str, Any]]:
    """What was measured, and the event that says so."""
    measured = [x.event for x in told if x.type in ("ScoresReported", "GuardsReported")]
    return [(getattr(event, "kind", "guards"), event) for event in measured]


def knobs(trial: Trial) -> list[Knob]:
    """The settings of a candidate's recipe, the changed ones first."""
    if trial.recipe is None:
        return []
    changed = {c.knob: Knob(c.knob, show(c.after), show(c.before)) for c in trial.changes}
    held = trial.recipe.model_dump()
    others = [Knob(name, _spelled(value), None) for name, value in held.items() if name not in changed]
    return [*changed.values(), *others]


def _spelled(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {show(weight)}" for name, weight in value.items()) or "all alike"
    return show(value)
