"""Packed bytes are unpacked a little at a time, and no further than is allowed: a zip bomb costs what it may cost."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from services.data.sources.refusal import Refused

GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
"""Window of zlib that takes either header."""

MAGIC = b"\x1f\x8b"
"""How gzip begins."""


def unpacked(chunks: Iterable[bytes], limit: int) -> bytes:
    """The content of gzip or zlib data, all its members.

    Raises `Refused`: `too_long` beyond `limit` bytes, `broken` where it is damaged or cut off.
    """
    out, machine = bytearray(), zlib.decompressobj(GZIP_OR_ZLIB)
    try:
        for chunk in chunks:
            while chunk:
                if machine.eof:
                    machine = zlib.decompressobj(GZIP_OR_ZLIB)
                out += machine.decompress(chunk, limit + 1 - len(out))
                if len(out) > limit:
                    raise Refused("too_long")
                chunk = machine.unconsumed_tail or machine.unused_data  # noqa: PLW2901 - what is left of it
    except zlib.error as error:
        raise Refused("broken") from error
    if not machine.eof:
        raise Refused("broken")
    return bytes(out)


def plain(chunks: Iterable[bytes], limit: int) -> bytes:
    """All bytes as they are. Raises `Refused("too_long")` beyond `limit`."""
    out = bytearray()
    for chunk in chunks:
        out += chunk
        if len(out) > limit:
            raise Refused("too_long")
    return bytes(out)
