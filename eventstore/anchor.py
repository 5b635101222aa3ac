"""Anchors: heads of the log, signed, so that whoever owns the database cannot write another history unseen.

The signature is Ed25519 over the text `aevolve anchor v1 POSITION HASH MICROSECONDS`: the position in decimal, the
head's hash in hexadecimal, the time in whole microseconds since 1970-01-01 UTC. Nothing here reads or writes: anchors
are kept in a file (`eventstore.anchor_files`) and on Kafka (`services.runtime.anchoring`), beyond the owner's reach.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import AwareDatetime, ConfigDict, Field

from eventstore.chain import EPOCH, MICROSECOND, Head
from eventstore.row import Hash
from schemas.base import Frozen


class Anchor(Frozen):
    """A head that was seen, and who vouches for it."""

    model_config = ConfigDict(ser_json_bytes="hex", val_json_bytes="hex")

    position: int = Field(ge=0, lt=2**63)
    hash: Hash
    time: AwareDatetime
    """When it was seen."""
    key: str | None = None
    """Id of the key that signed it (`key_id`); a head without one proves nothing."""
    signature: bytes | None = None
    """64 bytes; hexadecimal in JSON."""

    def signed(self) -> bytes:
        """What the signature covers."""
        microseconds = (self.time - EPOCH) // MICROSECOND
        return f"aevolve anchor v1 {self.position} {self.hash.hex()} {microseconds}".encode()


def key_id(public: bytes) -> str:
    """The short name of a public key (32 bytes): the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


class Signer:
    """A private key."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        """32 bytes."""

    def sign(self, head: Head, time: datetime) -> Anchor:
        """The anchor of a head that was seen at `time`."""
        bare = Anchor(position=head.position, hash=head.hash, time=time, key=key_id(self.public))
        return bare.model_copy(update={"signature": self._private.sign(bare.signed())})


@dataclass
class Attested:
    """What anchors say of a log, and which of them cannot be believed."""

    heads: dict[int, bytes] = field(default_factory=dict)
    """Hash by position, of the genuine ones; the first word counts where two differ."""
    refused: list[str] = field(default_factory=list)
    """What is wrong with those that are not: forged, unsigned, or at odds with another."""
    foreign: Counter[str] = field(default_factory=Counter)
    """How many there are of each key that is not among the known ones; nothing is known of what they say."""

    def hear(self, where: str, anchor: Anchor, keys: Mapping[str, Ed25519PublicKey]) -> None:
        """Take in one anchor, found at `where`."""
        if wrong := fault(anchor, keys):
            self.refused.append(f"{where}: position {anchor.position}: {wrong}")
        elif anchor.key not in keys:
            self.foreign[str(anchor.key)] += 1
        elif self.heads.setdefault(anchor.position, anchor.hash) != anchor.hash:
            self.refused.append(
                f"{where}: position {anchor.position}: another genuine anchor has another hash: "
                "the log was rewritten between the two, or the key signs for two logs"
            )


def fault(anchor: Anchor, keys: Mapping[str, Ed25519PublicKey]) -> str | None:
    """Why an anchor is none; None where it is genuine, or of a key that is not known here."""
    if anchor.key is None or anchor.signature is None:
        return "the anchor is not signed"
    if anchor.key not in keys:
        return None
    try:
        keys[anchor.key].verify(anchor.signature, anchor.signed())
    except InvalidSignature:
        return f"the anchor is forged: it is not what key {anchor.key} has signed"
    return None


def known(publics: Iterable[bytes]) -> dict[str, Ed25519PublicKey]:
    """Public keys (32 bytes each) by their id."""
    return {key_id(public): Ed25519PublicKey.from_public_bytes(public) for public in publics}
