"""What a person may do to a campaign, by command or page: start, pause, resume, stop, and emit test events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from eventstore.effect import Append
from eventstore.errors import MAX_EVENT_BYTES, EventTooLarge
from eventstore.store import EventStore
from judgement.decisions import campaign_start
from judgement.history import FOLDS, History
from schemas.campaign import Campaign, Substrate
from schemas.envelope import campaign_stream
from schemas.events import CampaignPaused, CampaignResumed, CampaignStopped
from services.console.client import history_of
from services.console.embedded.base_model import base_folder, is_model, make_base, substrate, take_base
from services.runtime.settings import Settings
from services.runtime.user_error import UserError

ControlEvent = CampaignPaused | CampaignResumed | CampaignStopped


async def control(store: EventStore, campaign: str, event: ControlEvent) -> None:
    """Pause, resume or stop a campaign. Raises `UserError` if it is over, or already in that state."""
    history, pauses = await history_of(store, campaign), isinstance(event, CampaignPaused)
    if history.finished or history.stopped:
        raise UserError(f"campaign: {campaign!r} is over; start another with `aevolve start`")
    if history.unreadable and not isinstance(event, CampaignStopped):
        raise UserError(f"campaign: {history.unreadable[0]}; nothing more is decided: stop the campaign")
    if history.paused == pauses and not isinstance(event, CampaignStopped):
        raise UserError(f"campaign: {campaign!r} is {'already' if history.paused else 'not'} paused")
    await store.append([Append(campaign, campaign_stream(campaign), event)])
    if isinstance(event, CampaignStopped):
        await store.cancel(campaign)  # running jobs lose their lease


async def start_campaign(
    store: EventStore, settings: Settings, id_: str, campaign: Campaign, report: Callable[[str], object]
) -> None:
    """Append the start of a campaign, after its base is there. Raises `UserError` if the base cannot be made."""
    base = base_folder(campaign.model, settings.cache)
    if not is_model(base) and not take_base(base, settings.bases):
        report(f"making the tiny base model in {base}")
        await make_base(base, settings.cache / "logs" / "base.log")
    await append_start(store, id_, campaign, await asyncio.to_thread(substrate, base))


async def append_start(store: EventStore, id_: str, campaign: Campaign, base: Substrate) -> None:
    """Append the start of a campaign, with the drift threshold that holds its rate of false alarms."""
    event = await asyncio.to_thread(campaign_start, campaign, base)
    try:
        await store.append([Append(id_, campaign_stream(id_), event, expected=0)])
    except EventTooLarge as error:
        raise UserError(
            f"campaign file: {error.size:,} bytes once it is complete; an event holds at most {MAX_EVENT_BYTES:,}:"
            " put long lists, such as a source's pages, into a file and name that"
        ) from None


def check_test_event(history: History, event: Any) -> None:
    """Fold an event written by hand. Raises `UserError` if the campaign is no test, or cannot have it yet."""
    if not history.campaign.test:
        raise UserError(f"campaign: {history.id!r} is no test; start one whose file says `test: true`")
    type_ = type(event).__name__
    try:
        if fold := FOLDS.get(type_):
            fold(history, event, datetime.now(UTC))
    except KeyError as unknown:
        raise UserError(
            f"{type_}: {unknown.args[0]!r} is not in campaign {history.id!r} yet: propose it first"
        ) from unknown
