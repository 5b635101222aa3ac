"""The rounds of a campaign: the chart, the candidates, and one candidate in full."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from audit.artifacts import receipt_place
from judgement.history import History
from judgement.trial import Trial
from schemas.base import canonical_json
from schemas.envelope import candidate_stream
from schemas.events import ScoresReported
from schemas.recipe import show
from schemas.scores import BASE
from services.console.log_source import choose
from services.console.report.data import KINDS, ROUND_EVENTS, course
from services.console.report.marks import drift_notes, policy_notes
from services.console.view.progress import Progress, data_wait, loss, state
from services.console.web.charts import rounds_chart
from services.console.web.context import Site, site
from services.console.web.templating import fragment
from services.oracle.receipts import Line, ReceiptForged, read
from services.runtime.storage.artifacts import join
from services.runtime.storage.object_store import StoreFailed
from services.runtime.user_error import nearest

SAMPLES = 2
"""Right and wrong answers shown per domain."""
SAMPLE_CHARACTERS = 2_000
"""Characters shown of an answer."""


@dataclass(frozen=True)
class Knob:
    """One setting of a recipe."""

    name: str
    """Its path."""
    value: str
    """The candidate's value."""
    before: str | None
    """The standing recipe's value; None where it is the same."""


@dataclass(frozen=True)
class Sample:
    """One answer."""

    domain: str
    """The item's domain."""
    right: bool
    """The scorer's verdict."""
    output: str
    """What the model wrote."""
    score: float | None = None
    """Score of a suite's item that is neither right nor wrong."""


async def latest(request: Request) -> Response:
    """The rounds of the newest campaign."""
    return RedirectResponse(f"/rounds/{await newest_campaign(site(request))}", 303)


async def newest_campaign(context: Site) -> str:
    """Id of the campaign that was started last. Raises `UserError` if the log has none."""
    return choose([summary.id for summary in await context.store.campaigns()], None)


async def rounds(request: Request) -> dict[str, Any]:
    """All rounds of a campaign, newest first."""
    context, id_ = site(request), request.path_params["campaign"]
    history, progress = await context.histories.of(id_), await context.store.progress(id_)
    content = await context.cache.of(
        ("rounds", id_), (history.position, canonical_json(progress)), lambda: _content(request, history, progress)
    )
    return {"campaign": id_, "content": content}


async def _content(request: Request, history: History, progress: Progress) -> Markup:
    events = site(request).store.read(campaign=history.id, types=ROUND_EVENTS)
    report = course(history, [envelope async for envelope in events])
    tried = [trial for trial in history.trials.values() if trial.recipe]
    return fragment(
        request,
        "rounds_content.html",
        history=history,
        waits=data_wait(history, progress),
        report=report,
        chart=rounds_chart(report),
        drifts={note.round: note for note in drift_notes(report)},
        policies={note.round: note for note in policy_notes(report)},
        now={t.candidate: (state(history, t, progress), loss(history, t, progress)) for t in tried},
    )


async def candidate(request: Request) -> dict[str, Any]:
    """One candidate: its recipe, its events, its scores with their receipts, and sample answers."""
    context, (id_, name) = site(request), (request.path_params["campaign"], request.path_params["candidate"])
    history = await context.histories.of(id_)
    if name not in history.trials:
        raise HTTPException(404, f"candidate: {name!r} is not in {id_}; {nearest(name, history.trials)}")
    envelopes = [envelope async for envelope in context.store.read(campaign=id_, stream=candidate_stream(id_, name))]
    trial, progress = history.trials[name], await context.store.progress(id_)
    measured = [x.event for x in envelopes if x.type in ("ScoresReported", "GuardsReported")]
    dev = [event for event in measured if isinstance(event, ScoresReported) and event.kind == "dev"]
    receipts = join(context.settings.artifacts, "receipts")
    return {
        "history": history,
        "trial": trial,
        "envelopes": envelopes,
        "state": "the base model" if name == BASE else state(history, trial, progress),
        "loss": loss(history, trial, progress),
        "knobs": knobs(trial),
        "kinds": [kind for kind in KINDS if kind in trial.scores],
        "receipts": [(getattr(event, "kind", "guards"), event) for event in measured],
        "samples": await asyncio.to_thread(samples, dev[-1], [receipts]) if dev else [],
    }


def knobs(trial: Trial) -> list[Knob]:
    """The settings of a candidate's recipe, the changed ones first."""
    if trial.recipe is None:
        return []
    changed = {c.knob: Knob(c.knob, show(c.after), show(c.before)) for c in trial.changes}
    settings = trial.recipe.model_dump().items()
    return [*changed.values(), *(Knob(name, _shown(value), None) for name, value in settings if name not in changed)]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {show(weight)}" for name, weight in value.items()) or "all alike"
    return show(value)


def samples(event: ScoresReported, folders: Sequence[str]) -> list[Sample] | str:
    """The first right and wrong answers of each domain on dev, or why there are none.

    Only dev receipts are opened, and of these neither items nor keyed answers are returned: the other sets are sealed.
    """
    if event.kind != "dev":
        raise ValueError(f"{event.kind}: its items are sealed; ask for samples of dev")
    try:
        return list(_first(read(event.receipt, receipt_place(event.receipt, folders), Line)))
    except FileNotFoundError:
        return f"The receipt is not on this machine: {event.receipt.uri}"
    except (ReceiptForged, StoreFailed) as error:
        return str(error)


def _first(lines: Sequence[Line]) -> Iterator[Sample]:
    for domain in dict.fromkeys(line.domain for line in lines):
        for right in (True, False):
            of_verdict = [line for line in lines if (line.domain, line.correct) == (domain, right)]
            for line in of_verdict[:SAMPLES]:
                yield Sample(domain, right, line.output[:SAMPLE_CHARACTERS], line.value or None)
