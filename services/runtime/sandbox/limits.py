"""How much a program may use. Standard library only: confined processes read it too."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds of one run, for each of its two processes."""

    seconds: float = 10.0
    """Wall time from the moment that both are confined, and processor time."""
    memory: int = 512 * MIB
    """Bytes of address space."""
    disk: int = 16 * MIB
    """Bytes of files, all in memory and gone with the process."""
    files: int = 256
    """Number of files and folders."""
    threads: int = 16
    """Threads; there is no second process at all."""
    descriptors: int = 64
    """Open files."""
    message: int = 2 * MIB
    """Bytes of one argument list or answer."""
