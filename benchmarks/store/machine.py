"""What the figures were measured on: without it they say nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg

PACKAGES = ("aevolve", "asyncpg", "aiokafka", "faststream", "pydantic", "eventsourcing", "psycopg", "psycopg-pool")
SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "wal_level", "shared_buffers", "max_wal_size")
SYNCS = 200
BLOCK = bytes(8192)
"""What PostgreSQL writes at a time."""
IN_MEMORY = ("tmpfs", "ramfs")


class NoDisk(Exception):
    """The folder lies in memory."""

    def __init__(self, folder: Path, kind: str) -> None:
        super().__init__(f"--folder: {folder} lies in memory ({kind}), where a commit is free; name one on a disk")


def machine(packages: Iterable[str]) -> dict[str, Any]:
    """The machine, the versions of these packages, and the commit."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "commit": head.stdout.strip() or None,
    }


def describe(folder: Path) -> dict[str, Any]:
    """The machine, the disk below the folder, and the versions. Raises `NoDisk`."""
    kind = file_system(folder)
    if kind in IN_MEMORY:
        raise NoDisk(folder, kind)
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "file_system": kind,
        "fdatasync_ms": fdatasync_ms(folder),
        "packages": {name: version(name) for name in PACKAGES},
    }


async def describe_server(dsn: str) -> dict[str, str]:
    """Version and settings of the server."""
    connection = await asyncpg.connect(dsn)
    try:
        settings = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in SETTINGS}
        return {"version": await connection.fetchval("SELECT version()"), **settings}
    finally:
        await connection.close()


def file_system(folder: Path) -> str:
    """Type of the file system that a folder lies on."""
    done = subprocess.run(["df", "--output=fstype", str(folder)], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def fdatasync_ms(folder: Path) -> float:
    """Median time to overwrite a block on disk, in ms: the least that a commit takes."""
    file, durations = folder / "sync", []
    file.write_bytes(BLOCK)
    with file.open("r+b", buffering=0) as opened:
        for _ in range(SYNCS):
            opened.seek(0)
            opened.write(BLOCK)
            start = time.perf_counter()
            os.fdatasync(opened.fileno())
            durations.append(1000 * (time.perf_counter() - start))
    file.unlink()
    return median(durations)


def processor() -> str:
    """Name of the processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
