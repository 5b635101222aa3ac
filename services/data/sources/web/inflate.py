"""Decompresses piece by piece and no further than a limit, so a zip bomb costs no more than the limit."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from services.data.sources.source import Refused

GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
"""zlib's window size that accepts either header."""

MAGIC = b"\x1f\x8b"
"""First bytes of gzip data."""


def unpacked(chunks: Iterable[bytes], limit: int) -> bytes:
    """The content of gzip or zlib data, all its members.

    Raises `Refused`: `too_long` beyond `limit` bytes, `broken` for damaged or truncated data.
    """
    out, decompressor = bytearray(), zlib.decompressobj(GZIP_OR_ZLIB)
    try:
        for chunk in chunks:
            while chunk:
                if decompressor.eof:
                    decompressor = zlib.decompressobj(GZIP_OR_ZLIB)
                out += decompressor.decompress(chunk, limit + 1 - len(out))
                if len(out) > limit:
                    raise Refused("too_long")
                chunk = decompressor.unconsumed_tail or decompressor.unused_data  # noqa: PLW2901 - the rest of it
    except zlib.error as error:
        raise Refused("broken") from error
    if not decompressor.eof:
        raise Refused("broken")
    return bytes(out)


def plain(chunks: Iterable[bytes], limit: int) -> bytes:
    """All bytes unchanged. Raises `Refused("too_long")` beyond `limit`."""
    out = bytearray()
    for chunk in chunks:
        out += chunk
        if len(out) > limit:
            raise Refused("too_long")
    return bytes(out)
