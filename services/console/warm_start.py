"""`aevolve start --warm-from`: an earlier campaign's last policy as the prior of a new campaign."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from eventstore.store import EventStore
from schemas.base import digest
from schemas.campaign import Campaign
from schemas.envelope import Envelope
from schemas.policy import Policy, WarmAxis, WarmDeadEnd, WarmStart
from services.console.log_file import read_envelopes
from services.console.log_source import choose, of_campaign
from services.runtime.user_error import UserError


async def with_warm_start(campaign: Campaign, store: EventStore, source: str | None, file: Path | None) -> Campaign:
    """The campaign with the prior that the options name, in the same log or in a file; unchanged without options.

    Raises `UserError` for an unknown campaign, or one without a usable policy.
    """
    if file:
        return with_prior(campaign, of_campaign(read_envelopes(file), source, "--warm-from"))
    if source is None:
        return campaign
    choose([earlier.id for earlier in await store.campaigns()], source, "--warm-from")
    return with_prior(campaign, [envelope async for envelope in store.read(campaign=source)])


def with_prior(campaign: Campaign, envelopes: Iterable[Envelope]) -> Campaign:
    """The campaign with the prior that another one's events end with."""
    events = list(envelopes)
    source = events[0].correlationid
    if events[0].type != "CampaignStarted":
        raise UserError(
            f"--warm-file: {source!r} begins with {events[0].type}; give a log that holds the whole campaign"
        )
    _check_kind(source, events[0].event.campaign)
    last = [envelope for envelope in events if envelope.type == "PolicyUpdated"][-1:]
    policy: Policy | None = last[0].event.policy if last else None
    if policy is None or policy.version == 0:
        raise UserError(f"--warm-from: {source!r} has learned nothing yet; name a campaign that has ended a round")
    _check_space(source, policy, campaign)
    return campaign.model_copy(update={"warm": _prior(source, last[0].sequence, policy)})


def _check_kind(source: str, campaign: Campaign) -> None:
    """Raise `UserError` for a campaign whose results are not real measurements."""
    for flag, reason in (("test", "events may have been emitted into it"), ("null_twin", "its target is its dev")):
        if getattr(campaign, flag):
            raise UserError(f"--warm-from: {source!r} says `{flag}: true`: {reason}; name a campaign without it")


def _check_space(source: str, policy: Policy, campaign: Campaign) -> None:
    """Raise `UserError` if no axis has two values in common."""
    searched = {axis.knob: axis.values for axis in policy.axes}
    space = campaign.constitution.space
    if not any(len([v for v in axis.values if v in searched.get(axis.knob, ())]) > 1 for axis in space):
        knobs = ", ".join(searched)
        raise UserError(
            f"--warm-from: {source!r} searched another space ({knobs}): no axis has two values in common with this "
            "campaign's; start without it"
        )


def _prior(source: str, position: int, policy: Policy) -> WarmStart:
    return WarmStart(
        campaign=source,
        position=position,
        policy=digest(policy),
        axes=tuple(WarmAxis(knob=a.knob, values=a.values, probabilities=a.probabilities) for a in policy.axes),
        dead_ends=tuple(
            WarmDeadEnd(knob=end.knob, value=end.value, evidence=tuple(f"{source}/{name}" for name in end.evidence))
            for end in policy.dead_ends
        ),
    )
