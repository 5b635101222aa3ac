"""Takes a body out of what it was packed in: chunks of a transfer, and compression.

Headers prove nothing: recorders unpack a body and keep them, and servers name what they did not do. So a body that is
not packed as its header says is taken as it is, if it is text. Nothing is unpacked further than a limit, so a zip bomb
costs no more than the limit.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from fastwarc.stream_io import BrotliReader

from services.data.sources.source import Refused

MAGIC = b"\x1f\x8b"
"""First bytes of gzip data."""

ZSTD = b"\x28\xb5\x2f\xfd"
"""First bytes of zstd data."""

PADDING = b"\r\n\0 "
"""Bytes that may stand behind gzip data without being damage: line ends of a careless writer, and zeros of a tape."""

LAYERS = 4
"""Maximum times that one body is unpacked."""

CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\n]{0,4096})?\r?\n")
"""The line before a chunk: its size, and extensions that say nothing of the content."""

LINE_END = re.compile(rb"\r?\n")

CONTROL = bytes({*range(0x20), 0x7F} - set(b"\t\n\f\r\x1b"))
"""Bytes that are in no text; escape begins the sets of characters of ISO 2022."""

SAMPLE = 1_024
"""Bytes by which packed data is told from text: a packed kilobyte has dozens of control characters."""


def unpacked(chunks: Iterable[bytes], limit: int) -> bytes:
    """The content of gzip data, all its members, or of zlib or raw deflate data.

    Raises `Refused`: `too_long` beyond `limit` bytes, `broken` for damaged or truncated data.
    """
    out, decompressor, rest = bytearray(), None, b""
    try:
        for chunk in chunks:
            rest += chunk
            while rest:
                if decompressor is None or decompressor.eof:
                    rest = rest.lstrip(PADDING) if decompressor else rest
                    if len(rest) < len(MAGIC):
                        break  # until more bytes tell how the data is packed
                    if decompressor and not rest.startswith(MAGIC):
                        raise Refused("broken")
                    decompressor = zlib.decompressobj(_window(rest))
                out += decompressor.decompress(rest, limit + 1 - len(out))
                if len(out) > limit:
                    raise Refused("too_long")
                rest = decompressor.unconsumed_tail or decompressor.unused_data
    except zlib.error as error:
        raise Refused("broken") from error
    if decompressor is None or not decompressor.eof or rest:
        raise Refused("broken")
    return bytes(out)


def _window(start: bytes) -> int:
    """The argument that zlib needs for data: a header of gzip or of zlib, or, as some servers send it, none."""
    return 32 + zlib.MAX_WBITS if start.startswith(MAGIC) or _has_zlib_header(start) else -zlib.MAX_WBITS


def _has_zlib_header(body: bytes) -> bool:
    """RFC 1950: the method, and a checksum of the first two bytes."""
    return len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0


def plain(chunks: Iterable[bytes], limit: int) -> bytes:
    """All bytes unchanged. Raises `Refused("too_long")` beyond `limit`."""
    out = bytearray()
    for chunk in chunks:
        out += chunk
        if len(out) > limit:
            raise Refused("too_long")
    return bytes(out)


def decoded(body: bytes, codings: str, limit: int) -> bytes:
    """A body without the compression that its headers name (`gzip, br`), or that its first bytes show.

    Raises `Refused`: `too_long`, `broken`, or `packing` for an unknown compression.
    """
    named = [name for coding in codings.split(",") if (name := coding.strip().lower())]
    for name in reversed(named[-LAYERS:]):
        body = _without(name, body, limit)
    for _ in range(LAYERS):
        if not body.startswith((MAGIC, ZSTD)):
            break
        body = _without("gzip" if body.startswith(MAGIC) else "zstd", body, limit)
    return body


def _without(coding: str, body: bytes, limit: int) -> bytes:
    """A body without one compression; as it is if it is text."""
    if coding in ("gzip", "x-gzip", "deflate") and body.startswith(MAGIC):
        return unpacked([body], limit)
    if coding == "zstd" and body.startswith(ZSTD):
        return _read(pa.CompressedInputStream(pa.BufferReader(body), "zstd"), limit)
    try:
        if coding == "br" and body:
            return _read(BrotliReader(io.BytesIO(body)), limit)
        if coding == "deflate" and (_has_zlib_header(body) or not _is_text(body)):
            return unpacked([body], limit)
    except Refused as refusal:
        if refusal.reason == "broken" and _is_text(body):
            return body
        raise
    if coding in ("identity", "chunked") or _is_text(body) or body.startswith((MAGIC, ZSTD)):
        return body
    raise Refused("broken" if coding in ("gzip", "x-gzip", "zstd") else "packing")


def _read(stream: Any, limit: int) -> bytes:
    """All that a decompressor gives. Raises `Refused`."""
    try:
        content = bytes(stream.read(limit + 1) or b"")
    except OSError as error:
        raise Refused("broken") from error
    if len(content) > limit:
        raise Refused("too_long")
    return content


def _is_text(body: bytes) -> bool:
    return not body or len(body[:SAMPLE].translate(None, CONTROL)) == len(body[:SAMPLE])


def dechunked(body: bytes) -> bytes:
    """A body without the chunks of its transfer; one that is in no chunks as it is. Raises `Refused("broken")`."""
    parts: list[bytes] = []
    at = 0
    while size := CHUNK_SIZE.match(body, at):
        begin, end = size.end(), size.end() + int(size[1], 16)
        if end == begin:
            return b"".join(parts)
        if end > len(body):
            raise Refused("broken")
        if not (line_end := LINE_END.match(body, end)):
            break
        parts.append(body[begin:end])
        at = line_end.end()
    if parts:
        raise Refused("broken")
    return body
