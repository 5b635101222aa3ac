"""A candidate's state in the history: its proposal, its checkpoint or failure, its measurements."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from schemas import events as e
from schemas.recipe import Change, Recipe
from schemas.scores import BASE, Kind, Scores, Stamp


@dataclass
class Trial:
    """A candidate, or the base model (whose recipe is None)."""

    candidate: str
    round: int = 0
    slot: int = 0
    recipe: Recipe | None = None
    changes: tuple[Change, ...] = ()
    intervention: str = BASE
    proposed: e.RecipeProposed | None = None
    proposed_at: datetime | None = None
    proposed_id: UUID | None = None
    """Id of its `RecipeProposed`."""
    attempts: int = 0
    checkpoint: e.CheckpointTrained | None = None
    checkpoint_id: UUID | None = None
    """Id of its `CheckpointTrained`."""
    failed: str | None = None
    """Class of the terminal failure of its training or of its dev score."""
    expired: bool = False
    scores: dict[Kind, Scores] = field(default_factory=dict)
    stamps: dict[Kind, Stamp] = field(default_factory=dict)
    moved: dict[Kind, Stamp] = field(default_factory=dict)
    """The original stamp of scores that were corrected to the base's stamp (`judgement.stamp_correction`)."""
    unmeasured: dict[Kind, str] = field(default_factory=dict)
    """Kinds whose measurement failed for good, with the class of the failure; `OtherStamp` if its stamp was not the
    base's and could not be corrected."""
    guards: dict[str, Scores] = field(default_factory=dict)
    """Scores by guard."""
    guard_stamp: Stamp | None = None
    unguarded: str | None = None
    """Class of the failure, as in `unmeasured`, if the candidate has no scores on the guards."""

    @property
    def ended(self) -> bool:
        """Whether the round no longer waits for the candidate: scored on dev, failed or expired."""
        return "dev" in self.scores or self.failed is not None or self.expired

    def has_outcome(self, kind: Kind) -> bool:
        """Whether a measurement of this kind has succeeded or failed."""
        return kind in self.scores or kind in self.unmeasured

    @property
    def guarded(self) -> bool:
        """Whether the measurement on the guards has succeeded or failed."""
        return bool(self.guards) or self.unguarded is not None
