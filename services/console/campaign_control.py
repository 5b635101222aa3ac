"""What a person may say to the loop, by the command or by the page: start, pause, resume, stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from eventstore.effect import Append
from eventstore.store import EventStore
from judgement.drift.threshold import with_threshold
from schemas.campaign import Campaign, Substrate
from schemas.envelope import campaign_stream
from schemas.events import CampaignPaused, CampaignResumed, CampaignStarted, CampaignStopped
from services.console.client import history_of
from services.console.embedded.base_model import base_folder, is_model, make_base, substrate, take_base
from services.runtime.settings import Settings
from services.runtime.user_error import UserError

Steering = CampaignPaused | CampaignResumed | CampaignStopped


async def say(store: EventStore, campaign: str, event: Steering) -> None:
    """Pause, resume or stop a campaign. Raises `UserError` where it is over, or stands so already."""
    history, pauses = await history_of(store, campaign), isinstance(event, CampaignPaused)
    if history.finished or history.stopped:
        raise UserError(f"campaign: {campaign!r} is over; start another with `aevolve start`")
    if history.paused == pauses and not isinstance(event, CampaignStopped):
        raise UserError(f"campaign: {campaign!r} is {'already' if history.paused else 'not'} paused")
    await store.append([Append(campaign, campaign_stream(campaign), event)])
    if isinstance(event, CampaignStopped):
        await store.cancel(campaign)  # running jobs lose their lease


async def start_campaign(
    store: EventStore, settings: Settings, id_: str, campaign: Campaign, tell: Callable[[str], object]
) -> None:
    """Append the start of a campaign, after its base is there. Raises `UserError` for a base that cannot be had."""
    base = base_folder(campaign.model.base, settings.cache)
    if not is_model(base) and not take_base(base, settings.bases):
        tell(f"making the tiny base model in {base}")
        await make_base(base, settings.cache / "logs" / "base.log")
    await begin(store, id_, campaign, await asyncio.to_thread(substrate, base))


async def begin(store: EventStore, id_: str, campaign: Campaign, found: Substrate) -> None:
    """Append the start of a campaign, with the drift threshold that holds its rate of false alarms."""
    campaign = await asyncio.to_thread(with_threshold, campaign)
    event = CampaignStarted(campaign=campaign, constitution_sha256=campaign.constitution_sha256, substrate=found)
    await store.append([Append(id_, campaign_stream(id_), event, expected=0)])
