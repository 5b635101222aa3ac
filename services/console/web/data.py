"""The data: every round's snapshot with its card, what its sources gave, what was dropped, and some of its rows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from judgement.history import History
from schemas.events import DataBatchReady
from services.console.log_source import choose
from services.console.snapshot import Samples, drops, first_rows
from services.console.web.context import site
from services.console.web.templating import page
from services.runtime.storage.artifacts import ArtifactChanged, exists, open_local, read
from services.runtime.storage.object_store import StoreFailed
from services.runtime.user_error import UserError

SAMPLES = 3
"""Rows of each domain that are shown."""


@dataclass(frozen=True)
class Card:
    """One round's snapshot."""

    made: DataBatchReady
    """What the log says of it."""
    time: datetime
    """When."""
    here: bool
    """Whether its file can be read from here."""


async def overview(request: Request) -> Response:
    """The snapshots of a campaign, the youngest first."""
    found = site(request)
    known = [summary.id for summary in await found.store.campaigns()]
    if not known:
        return page(request, "data.html", campaign="", known=known, cards=[])
    campaign = choose(known, request.query_params.get("campaign") or None, "campaign")
    history = await found.histories.of(campaign)
    cards = await asyncio.to_thread(_cards, history)
    return page(request, "data.html", campaign=campaign, known=known[::-1], cards=cards)


def _cards(history: History) -> list[Card]:
    made = sorted(history.snapshots.items(), reverse=True)
    return [Card(said, history.snapshot_times[round_], _here(said.uri)) for round_, said in made]


def _here(uri: str) -> bool:
    try:
        return exists(uri)
    except StoreFailed:
        return False


async def samples(request: Request) -> Response:
    """Some rows of each domain of a round's snapshot."""
    campaign, round_ = request.path_params["campaign"], request.path_params["round"]
    made = (await site(request).histories.of(campaign)).snapshots.get(round_)
    if made is None:
        raise HTTPException(404, f"round {round_} of {campaign} has no data yet")
    try:
        rows = await asyncio.to_thread(_rows, made)
        dropped, card = await asyncio.to_thread(_dropped, made), await asyncio.to_thread(_card, made)
    except (FileNotFoundError, StoreFailed) as gone:
        raise UserError(
            f"snapshot: {made.uri}; it is not here: let the console see the folder of the artifacts"
        ) from gone
    return page(request, "samples.html", campaign=campaign, made=made, rows=rows, dropped=dropped, card=card)


def _rows(made: DataBatchReady) -> Samples:
    with open_local(made.uri) as file:
        return first_rows(file, set(made.rows), SAMPLES)


def _dropped(made: DataBatchReady) -> Samples:
    """Some of what was dropped, by source and reason; nothing where the artifacts that tell it are erased."""
    try:
        return drops(made.harvest, SAMPLES, []) if made.harvest else {}
    except (FileNotFoundError, ArtifactChanged):
        return {}


def _card(made: DataBatchReady) -> str:
    """The card as it was written; empty where there is none."""
    try:
        return read(made.card.uri).decode() if made.card else ""
    except FileNotFoundError:
        return ""
