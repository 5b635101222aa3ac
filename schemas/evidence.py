"""What events carry besides their own fields: the ground of a decision, and findings in a common form."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Frozen, Grown, Name, Sha256, Share
from schemas.policy import Direction, Estimate


class Basis(Frozen):
    """What a decision rests on: replaying the log up to here with this seed gives the decision again."""

    position: int = Field(ge=0)
    """Last log position the decider had read."""
    digest: Sha256
    """Hash of the evidence it used, ordered by candidate, without times and ids."""
    seed: int = Field(ge=0)
    """Seed of its random draws."""
    rules: int = Field(1, ge=1)
    """Version of the decider's rules that took it (`judgement.deciders`)."""


NOT_LOST = ("balance/", "other_domain")
"""Beginnings of reasons by which a usable record is left out on purpose."""

LOSS_WARNING = 0.2
"""Share of a source's records whose loss is reported as a warning."""


class Yield(Grown):
    """What one source gave a snapshot: what was made is kept or dropped, whether in this round or in one before."""

    LATER = ("skipped",)

    source: str
    """Name of the source."""
    domain: str
    """Domain of its rows."""
    made: int = Field(ge=0)
    """Rows produced or fetched."""
    kept: int = Field(ge=0)
    """Rows in the snapshot."""
    dropped: dict[str, int] = Field(default_factory=dict)
    """Rows dropped, per filter."""
    skipped: dict[str, int] = Field(default_factory=dict)
    """What was refused or passed over before it became a row, per reason."""

    @property
    def losses(self) -> dict[str, int]:
        """Records that gave no row, per reason, the most frequent first.

        A record that the campaign did not ask for, by its domain or beyond a cap or share, is not lost.
        """
        reasons = {**self.skipped, **self.dropped}
        lost = {reason: n for reason, n in reasons.items() if n and not reason.startswith(NOT_LOST)}
        return dict(sorted(lost.items(), key=lambda pair: (-pair[1], pair[0])))

    @property
    def lost_share(self) -> float:
        """Share of the source's records that are lost."""
        records = self.made + sum(self.skipped.values())
        return sum(self.losses.values()) / records if records else 0.0


class Stored(Frozen):
    """An artifact that goes with an event."""

    uri: str
    """Where it lies."""
    sha256: Sha256
    """Hash of the file."""


class Lineage(Frozen):
    """Which weights wrote rows of a snapshot (design rule 1)."""

    source: Name
    """The source whose rows they are."""
    model: Literal["base", "standing"]
    """What the constitution lets it ask."""
    candidate: Name
    """Whose checkpoint was asked: a candidate's, or `base`."""
    sha256: Sha256
    """Hash of the base's files, or of the candidate's adapter."""


class Coverage(Frozen):
    """Which target modules exist and were trained."""

    modules: dict[str, int]
    """Adapted layers per target module."""
    trainable: int = Field(ge=0)
    """Trained parameters."""
    moved: int = Field(ge=0)
    """Adapted layers whose weights differ from their initialisation; must equal the sum of `modules`."""


class Submission(Frozen):
    """One candidate chosen, and why."""

    candidate: Name
    """Candidate id, or `base`."""
    reason: str
    """Why it was chosen, in words and numbers."""


class Contrast(Frozen):
    """What one candidate gained over the base, on dev and on the target."""

    candidate: str
    """A measured candidate."""
    dev: float
    """Smoothed dev gain."""
    target: float
    """Target gain; 0 while the base's target is not known."""


class ScopeAssessment(Frozen):
    """The drift test in one domain, or over all."""

    scope: str
    """A domain, or `all`."""
    direction: Direction
    """The direction that the evidence favours."""
    bayes_factor: float = Field(ge=0.0)
    """Evidence for drift in this scope against none; capped at 1e9."""
    posterior: Share
    """Posterior probability of drift in this scope."""
    level: float
    """Dev gain over the base beyond which dev no longer counts, most probable."""
    slope: Estimate
    """Points of target per point of dev beyond that level."""
    highest_dev: Contrast | None
    """The measured candidate with the largest smoothed dev gain; none while nothing is measured."""
    highest_target: Contrast | None
    """The measured candidate with the largest target gain."""


class Calibration(Frozen):
    """How the target follows dev in this campaign where no drift is: learned, not assumed."""

    offset: Estimate
    """Target minus dev for the base, mean over the domains."""
    slope: Estimate
    """Points of target per point of dev."""


class GapTest(Frozen):
    """Second opinion: a plain two-proportion test of dev against target for the round's best dev candidate."""

    candidate: Name
    """The candidate tested."""
    z: float
    """Gap beyond the base's gap, in standard errors."""
    fires: bool
    """Whether z is at least 2.58."""
