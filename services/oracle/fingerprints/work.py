"""What the publishing of fingerprints is given and what it gives back."""

from __future__ import annotations

from pydantic import Field

from schemas.base import Frozen
from schemas.campaign import Campaign
from schemas.scores import Receipt


class FingerprintJob(Frozen):
    """One campaign's fingerprints."""

    campaign: Campaign
    """The campaign."""
    key_file: str
    """File with the key of the sealed sets."""
    out: str
    """Folder of fingerprints."""
    oracle_items: str | None = None
    """Folders of evaluation files (`AEVOLVE_ORACLE_ITEMS`)."""
    task_path: str | None = None
    """Folders of user code (`AEVOLVE_TASK_PATH`)."""


class Published(Frozen):
    """Fingerprints that exist: the part of `FingerprintsPublished` that the job decides."""

    receipt: Receipt
    """The file, named by its hash."""
    items: int = Field(ge=0)
    """Items whose hashes it holds."""
    ngrams: int = Field(ge=0)
    """Hashes in the file."""
    seconds: float = Field(ge=0.0)
    """Wall time."""
    device_seconds: float = Field(ge=0.0)
    """Processor seconds."""
