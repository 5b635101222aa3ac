"""What a server must call the base: whoever names it so says that it is the recorded one."""

from __future__ import annotations


def served_name(base_sha256: str | None) -> str:
    """`base-` and the first 16 digits of the hash that the campaign recorded."""
    return f"base-{(base_sha256 or '')[:16]}"
