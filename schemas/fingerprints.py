"""Fingerprints of the sealed sets: what lets training data be freed of them without showing them."""

from __future__ import annotations

from pydantic import Field

from schemas.base import Frozen, Sha256
from schemas.evidence import Basis
from schemas.scores import Cost


class FingerprintsPublished(Frozen):
    """The oracle wrote hashes of a campaign's sealed items among those of many more that are not."""

    uri: str
    """Where the file lies."""
    sha256: Sha256
    """Hash of the file."""
    items: int = Field(ge=0)
    """Items whose hashes it holds: the sealed ones, the decoys among which they are hidden, and those of task lists."""
    ngrams: int = Field(ge=0)
    """Hashes in the file."""
    cost: Cost
    """What it took."""
    basis: Basis
    """What it was decided on."""
