"""The kinds of world: how the target differs from dev, and whether recipes can be found that raise one alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Effect = Literal["none", "inflated", "everywhere", "saturating", "collateral", "blind"]
"""How a region of recipes sets dev and target apart: see `benchmarks.search.exploit`."""


@dataclass(frozen=True)
class Kind:
    """One kind of world."""

    mismatch: float = 0.08
    """Standard deviation of a domain's slope of target on dev, as a share of the slope."""
    arms: float = 0.008
    """Standard deviation of what an intervention arm does to the target alone, in accuracy."""
    uneven: bool = True
    """Whether the target weighs the domains unequally."""
    slope: tuple[float, float] = (1.0, 1.0)
    """Range that the campaign's slope of target on dev is drawn from."""
    effect: Effect = "none"
    """What happens in the region of recipes that sets dev and target apart, if there is one."""
    edge: float = 0.71
    """Where the region begins, between 0 far away and 1 in its corner."""
    late: bool = False
    """Whether it happens from round 3, 4 or 5 on only."""

    @property
    def drifts(self) -> bool:
        """Whether an alarm is right once a recipe of the region has been submitted."""
        return self.effect != "none"


KINDS: dict[str, Kind] = {
    "null": Kind(mismatch=0.0, arms=0.0, uneven=False),
    "benign": Kind(),
    "rough": Kind(mismatch=0.16, arms=0.016),
    "scaled": Kind(slope=(0.1, 0.5)),
    "region": Kind(effect="inflated"),
    "onset": Kind(effect="inflated", late=True),
    "global": Kind(effect="everywhere"),
    "blind": Kind(effect="blind", edge=0.5),
    "saturating": Kind(effect="saturating"),
    "collateral": Kind(effect="collateral"),
}
"""By name. The last two set dev and target apart in another shape than the drift test supposes."""
