"""Anchors are signed heads of the log: with them, a history rewritten by the database's owner is detected.

The signature is Ed25519 over the text `aevolve anchor v1 POSITION HASH MICROSECONDS`: the position in decimal, the
head's hash in hexadecimal, the time in whole microseconds since 1970-01-01 UTC. Anchors are stored in a file (here) and
on Kafka (`services.runtime.anchoring`), both out of reach of the database's owner.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import AwareDatetime, ConfigDict, Field

from eventstore.integrity.chain import EPOCH, MICROSECOND, Head
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
    """The heads of a log that anchors attest, and the anchors that are not accepted."""

    heads: dict[int, bytes] = field(default_factory=dict)
    """Hash by position, from genuine anchors; if two differ, the first counts."""
    refused: list[str] = field(default_factory=list)
    """Why an anchor was refused: forged, unsigned, or in conflict with another."""
    foreign: Counter[str] = field(default_factory=Counter)
    """Number of anchors by key id, for keys that are not configured; these anchors are not checked."""

    def add(self, where: str, anchor: Anchor, keys: Mapping[str, Ed25519PublicKey]) -> None:
        """Check one anchor and store its hash or the fault; `where` is its place for the message."""
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
    """Why an anchor is refused; None if it is genuine or its key is not in `keys`."""
    if anchor.key is None or anchor.signature is None:
        return "the anchor is not signed"
    if anchor.key not in keys:
        return None
    try:
        keys[anchor.key].verify(anchor.signature, anchor.signed())
    except InvalidSignature:
        return f"the anchor is forged: it is not what key {anchor.key} has signed"
    return None


def keys_by_id(publics: Iterable[bytes]) -> dict[str, Ed25519PublicKey]:
    """Public keys (32 bytes each) by their id."""
    return {key_id(public): Ed25519PublicKey.from_public_bytes(public) for public in publics}


LONGEST_LINE = 4096
"""Bytes that no anchor's line reaches: a file may be long, and is looked at from its end."""


def make_key(file: Path) -> Signer:
    """Write a new private key (PKCS 8, PEM, mode 0600). Raises `FileExistsError`: a key is never overwritten."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as key_file:
        key_file.write(pem)
    return Signer(private)


def read_key(file: Path) -> Signer:
    """The private key of a file. Raises `OSError`, or `ValueError` where it holds no such key."""
    try:
        private = load_pem_private_key(file.read_bytes(), password=None)
    except (TypeError, UnsupportedAlgorithm) as error:  # encrypted, or of a kind that is not known here
        raise ValueError(str(error)) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError(f"it holds a {type(private).__name__}")  # noqa: TRY004 - what a file holds is a value
    return Signer(private)


def read_public(text: str) -> bytes:
    """A public key (32 bytes): 64 hexadecimal digits, or the file that holds them. Raises `OSError`, `ValueError`."""
    digits = text if _is_public(text) else Path(text).read_text(encoding="utf-8").strip()
    if not _is_public(digits):
        raise ValueError("it holds no 64 hexadecimal digits")
    return bytes.fromhex(digits)


def _is_public(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdefABCDEF" for c in text)


def append_anchor(file: Path, anchor: Anchor) -> None:
    """Add an anchor, on the disk before it counts. Raises `OSError`."""
    with file.open("ab+") as anchors:
        _mend_end(anchors)
        anchors.write(f"{anchor.model_dump_json()}\n".encode())
        anchors.flush()
        os.fsync(anchors.fileno())


def is_torn(line: bytes) -> bool:
    """Whether a line was cut while it was written, by a power cut: it never counted."""
    return not line.endswith((b"\n", b"}"))


def _mend_end(anchors: IO[bytes]) -> None:
    """Cut off a torn last line, and end one that has lost its end."""
    end = anchors.seek(0, os.SEEK_END)
    anchors.seek(max(0, end - LONGEST_LINE))
    last = anchors.read().splitlines(keepends=True)[-1:] or [b"\n"]
    if is_torn(last[0]):
        anchors.truncate(end - len(last[0]))
    elif not last[0].endswith(b"\n"):
        anchors.write(b"\n")
