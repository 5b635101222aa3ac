"""The data: each round's snapshot with its data card, the yield of its sources, dropped rows, and sample rows."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from judgement.history import History
from schemas.events import DataBatchReady
from services.console.log_source import choose
from services.console.snapshot import DROPPED, Drops, Samples, drops, first_rows
from services.console.web.context import site
from services.runtime.storage.artifacts import ArtifactChanged, exists, fetch, open_local
from services.runtime.storage.hashing import hash_file
from services.runtime.storage.object_store import StoreFailed
from services.runtime.user_error import UserError

SAMPLES = 3
"""Rows shown per domain."""

LARGEST_CARD = 10_000_000
"""Bytes of a data card that the page shows."""


@dataclass(frozen=True)
class Card:
    """One round's snapshot."""

    event: DataBatchReady
    """Its event."""
    time: datetime
    """Time of the event."""
    here: bool
    """Whether its file can be read from this machine."""


async def overview(request: Request) -> dict[str, Any]:
    """The snapshots of a campaign, newest first."""
    context = site(request)
    ids = [summary.id for summary in await context.store.campaigns()]
    if not ids:
        return {"campaign": "", "campaigns": ids, "cards": []}
    campaign = choose(ids, request.query_params.get("campaign") or None, "campaign")
    history = await context.histories.of(campaign)
    return {"campaign": campaign, "campaigns": ids[::-1], "cards": await asyncio.to_thread(_cards, history)}


def _cards(history: History) -> list[Card]:
    newest_first = sorted(history.snapshots.items(), reverse=True)
    return [Card(event, history.snapshot_times[round_], _here(event.uri)) for round_, event in newest_first]


def _here(uri: str) -> bool:
    try:
        return exists(uri)
    except StoreFailed:
        return False


async def samples(request: Request) -> dict[str, Any]:
    """Some rows of each domain of a round's snapshot."""
    campaign, round_ = request.path_params["campaign"], request.path_params["round"]
    event = (await site(request).histories.of(campaign)).snapshots.get(round_)
    if event is None:
        raise HTTPException(404, f"round {round_} of {campaign} has no data yet")
    try:
        rows = await asyncio.to_thread(_rows, event)
        dropped, card = await asyncio.to_thread(_dropped, event), await asyncio.to_thread(_card, event)
    except (FileNotFoundError, StoreFailed) as error:
        raise UserError(
            f"snapshot: {event.uri}; not found here: give the console access to the folder of the artifacts"
        ) from error
    return {"campaign": campaign, "event": event, "rows": rows, "dropped": dropped, "card": card}


def _rows(event: DataBatchReady) -> Samples:
    with open_local(event.uri) as file:
        return first_rows(file, set(event.rows), SAMPLES)


def _dropped(event: DataBatchReady) -> dict[str, Drops]:
    """Dropped rows with examples, by source and reason; empty where their artifacts are erased."""
    try:
        return drops(event.harvest, DROPPED, []) if event.harvest else {}
    except (FileNotFoundError, ArtifactChanged):
        return {}


def _card(event: DataBatchReady) -> str:
    """The data card; empty if there is none.

    Only a file of the recorded hash is shown: its path comes from an event, and could be that of a secret of ours.
    """
    if event.card is None:
        return ""
    with tempfile.TemporaryDirectory() as copies:
        try:
            place = fetch(event.card.uri, event.card.sha256, hash_file, Path(copies))
            if place.stat().st_size <= LARGEST_CARD and hash_file(place) == event.card.sha256:
                return place.read_text(encoding="utf-8")
        except (ArtifactChanged, FileNotFoundError, IsADirectoryError):
            return ""
    raise UserError(f"card: {event.card.uri}; it is not the recorded one; restore it from a backup")
