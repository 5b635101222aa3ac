"""The events by which people steer a campaign that runs."""

from __future__ import annotations

from schemas.base import Frozen


class CampaignPaused(Frozen):
    """A person paused the campaign: running jobs end, nothing new is decided."""

    by: str
    """Who."""
    reason: str
    """Why."""


class CampaignResumed(Frozen):
    """A person resumed the campaign."""

    by: str
    """Who."""
    reason: str
    """Why."""


class CampaignStopped(Frozen):
    """A person stopped the campaign for good."""

    by: str
    """Who."""
    reason: str
    """Why."""
