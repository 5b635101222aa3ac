"""UUIDv7: ids that sort by the time they were made, so that an index on them grows at its end.

Spec: RFC 9562 section 5.7, with method 3 of section 6.2: the twelve bits after the milliseconds hold their fraction.
"""

from __future__ import annotations

import secrets
import time
from uuid import UUID


def uuid7() -> UUID:
    """A new UUIDv7."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = (nanoseconds << 12) // 1_000_000
    value = milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62)
    return UUID(int=value)
