"""Argument and result of making a snapshot."""

from __future__ import annotations

from collections import Counter

from pydantic import Field

from schemas.base import Frozen, Name, Sha256
from schemas.campaign import Campaign
from schemas.evidence import Lineage, Stored, Yield
from schemas.policy import Policy
from schemas.scores import BASE


class CellPlan(Frozen):
    """The planned rows of one domain, difficulty and wording."""

    domain: Name
    """Puzzle family."""
    difficulty: int = Field(ge=1, le=3)
    """1, 2 or 3."""
    wording: int = Field(ge=0, le=2)
    """0, 1 or 2."""
    rows: int = Field(ge=1)
    """Planned rows; wordings share one draw per difficulty, so the number is met in the mean."""


class SnapshotPlan(Frozen):
    """The planned puzzles of a round's snapshot, and the seed of the draws. Equal plans give equal snapshots."""

    seed: str
    """Seed of the draws."""
    cells: tuple[CellPlan, ...] = ()
    """Cells, by domain, difficulty and wording; none for a campaign that trains on its sources alone."""

    @property
    def rows(self) -> dict[str, int]:
        """Planned puzzles by domain."""
        rows: Counter[str] = Counter()
        for cell in self.cells:
            rows[cell.domain] += cell.rows
        return dict(rows)


class Sampled(Frozen):
    """The model that a source of the campaign samples."""

    base: str
    """Folder of the base model."""
    base_sha256: Sha256
    """Hash of its files."""
    candidate: Name = BASE
    """Candidate whose checkpoint stands, or `base`."""
    adapter: Stored | None = None
    """Its adapter; none for the base."""


class Collecting(Frozen):
    """Where the collecting of a round starts, and where it writes."""

    work: str
    """The round's own folder, with the state that a retry continues from."""
    out: str
    """Folder of harvests and data cards."""
    copies: str
    """Folder of local copies of artifacts from an object store."""
    last: Stored | None = None
    """Manifest of the last harvest; none in the first round."""
    fingerprints: Stored | None = None
    """Fingerprints of the sealed sets; none if the campaign does not publish them."""
    base: str | None = None
    """Folder of the base model, whose tokenizer counts tokens if it is on this machine."""
    sampled: Sampled | None = None
    """None unless a source samples a model."""


class SnapshotJob(Frozen):
    """The argument: one round's data."""

    policy: Policy
    """The policy that opened the round."""
    campaign: Campaign
    """The campaign."""
    round: int = Field(ge=1)
    """The round."""
    out: str
    """Folder of snapshots."""
    collecting: Collecting | None = None
    """None for a campaign of puzzles alone."""


class Snapshot(Frozen):
    """The result: the measured part of `DataBatchReady`."""

    snapshot: Sha256
    """Its id: the hash of its rows."""
    uri: str
    """Its Parquet file."""
    rows: dict[str, int]
    """Rows per domain."""
    tokens: dict[str, int]
    """Characters per domain, without white space."""
    yields: tuple[Yield, ...]
    """Yield of each domain's generator and each source."""
    seconds: float = Field(ge=0.0)
    """Wall time."""
    device_seconds: float = Field(ge=0.0)
    """Processor seconds."""
    card: Stored | None = None
    """Its data card."""
    harvest: Stored | None = None
    """Manifest of its harvest."""
    lineage: tuple[Lineage, ...] = ()
    """Weights that wrote rows of it."""


class DomainEmpty(Exception):
    """Every row of a source or domain was dropped or skipped."""
