"""Which set an item may stand in, by a hash of its core: no set can leak into another, whoever draws it."""

from __future__ import annotations

import hashlib
from typing import Literal

Split = Literal["train", "dev", "confirm", "external", "final"]

_TENTHS: tuple[Split, ...] = (*("train",) * 6, "dev", "confirm", "external", "final")
"""Six tenths are for training, one for each sealed set."""


def split_of(domain: str, core: str) -> Split:
    """The set of a core: SHA-256 of domain and core, as a fraction of its range."""
    hashed = hashlib.sha256(f"{domain}\n{core}".encode()).digest()
    return _TENTHS[int.from_bytes(hashed[:8], "big") * 10 >> 64]
