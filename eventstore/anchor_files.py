"""The files of anchors: a private key that its owner alone can read, and anchors, appended a line at a time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from eventstore.anchor import Anchor, Signer

LONGEST_LINE = 4096
"""Bytes that no anchor's line reaches: a file may be long, and is looked at from its end."""


def make_key(file: Path) -> Signer:
    """Write a new private key (PKCS 8, PEM, mode 0600). Raises `FileExistsError`: a key is never overwritten."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
        made.write(pem)
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
