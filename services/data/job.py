"""What the making of a snapshot is given and what it gives back."""

from __future__ import annotations

from pydantic import Field

from schemas.base import Frozen, Name, Sha256
from schemas.campaign import Campaign
from schemas.evidence import Lineage, Stored, Yield
from schemas.policy import Policy
from schemas.scores import BASE


class CellPlan(Frozen):
    """Rows of one kind."""

    domain: Name
    """Family."""
    difficulty: int = Field(ge=1, le=3)
    """1, 2 or 3."""
    wording: int = Field(ge=0, le=2)
    """0, 1 or 2."""
    rows: int = Field(ge=1)
    """Rows asked for; wordings share one draw per difficulty, so the number is met in the mean."""


class SnapshotPlan(Frozen):
    """The rows a round's snapshot is to hold, and the seed they are drawn from. Equal plans give equal snapshots."""

    seed: str
    """Seed of the draws."""
    cells: tuple[CellPlan, ...] = Field(min_length=1)
    """Cells, by domain, difficulty and wording."""


class Sampled(Frozen):
    """The model that a source of the campaign samples."""

    base: str
    """Folder of the base model."""
    base_sha256: Sha256
    """Hash of its files."""
    candidate: Name = BASE
    """Whose checkpoint stands, or `base`."""
    adapter: Stored | None = None
    """Its adapter; none for the base."""


class Collecting(Frozen):
    """What the collecting of a round begins with."""

    work: str
    """The round's own folder for what a resumed try needs."""
    out: str
    """Folder of harvests and data cards."""
    copies: str
    """Folder of copies of what lies in a store of objects."""
    last: Stored | None = None
    """Manifest of the last harvest; none in the first round."""
    fingerprints: Stored | None = None
    """Of the sealed sets; none where the campaign does not ask for them."""
    base: str | None = None
    """Place of the base model, whose tokenizer counts tokens where it is here."""
    sampled: Sampled | None = None
    """None unless a source samples a model."""


class SnapshotJob(Frozen):
    """One round's data."""

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
    """A snapshot that exists: the part of `DataBatchReady` that the making decides."""

    snapshot: Sha256
    """Its id: the hash of its rows."""
    uri: str
    """Its Parquet file."""
    rows: dict[str, int]
    """Rows per domain."""
    tokens: dict[str, int]
    """Whitespace-free characters per domain."""
    yields: tuple[Yield, ...]
    """What each domain's generator and each source gave."""
    seconds: float = Field(ge=0.0)
    """Wall time."""
    device_seconds: float = Field(ge=0.0)
    """Processor seconds."""
    card: Stored | None = None
    """Its data card."""
    harvest: Stored | None = None
    """Manifest of the harvest behind it."""
    lineage: tuple[Lineage, ...] = ()
    """Which weights wrote rows of it."""


class DomainEmpty(Exception):
    """Every row of a domain was dropped."""
