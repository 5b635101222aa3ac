"""The data: every round's snapshot, what its sources gave, what was dropped, and some of its rows to look at."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from judgement.history import History
from schemas.events import DataBatchReady
from services.console.problem import Problem
from services.console.told_log import choose
from services.console.web.site import site
from services.console.web.view import page
from services.runtime.artifacts import exists, here
from services.runtime.object_store import StoreFailed

SAMPLES = 3
"""Rows of each domain that are shown."""
BATCH = 500
"""Rows of a snapshot in memory at a time."""


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
    except (FileNotFoundError, StoreFailed) as gone:
        raise Problem(
            f"snapshot: {made.uri}; it is not here: let the console see the folder of the artifacts"
        ) from gone
    return page(request, "samples.html", campaign=campaign, made=made, rows=rows)


def _rows(made: DataBatchReady) -> dict[str, list[dict[str, Any]]]:
    with here(made.uri) as file:
        return first_rows(file, set(made.rows))


def first_rows(file: Path, domains: set[str]) -> dict[str, list[dict[str, Any]]]:
    """The first rows of each domain. Raises `Problem` where the extra that reads them is not installed."""
    try:
        from pyarrow import parquet  # noqa: PLC0415 - a second to load, for this page alone
    except ModuleNotFoundError as missing:
        raise Problem("samples: pyarrow is not installed: pip install 'aevolve[data]'") from missing
    found: dict[str, list[dict[str, Any]]] = {domain: [] for domain in sorted(domains)}
    for batch in parquet.ParquetFile(file).iter_batches(BATCH):
        for row in batch.to_pylist():
            kept = found.setdefault(row["domain"], [])
            if len(kept) < SAMPLES:
                kept.append(row)
        if all(len(kept) == SAMPLES for kept in found.values()):
            break
    return found
