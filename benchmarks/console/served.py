"""`aevolve console` in a process of its own, as people run it."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.store.scratch import PASSWORD


@dataclass(frozen=True)
class Served:
    """A page that answers."""

    address: str
    """Its address, which ends with a slash."""
    process: int
    """Id of its process."""

    def resident_mb(self) -> float:
        """Memory that the process holds, in MB: `VmRSS` of proc(5)."""
        lines = Path(f"/proc/{self.process}/status").read_text(encoding="utf-8").splitlines()
        (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
        return int(kilobytes) / 1000


@asynccontextmanager
async def served(dsn: str) -> AsyncIterator[Served]:
    """The page of a log, as long as the context lasts."""
    environment = {**os.environ, "AEVOLVE_POSTGRES": without_user(dsn), "AEVOLVE_PASSWORD": PASSWORD}
    argv = ("-m", "services.console", "console", "--port", "0")
    process = await asyncio.create_subprocess_exec(sys.executable, *argv, env=environment, stdout=PIPE)
    try:
        yield Served(await _address(process), process.pid)
    finally:
        process.terminate()
        await process.wait()


async def _address(process: Process) -> str:
    assert process.stdout is not None  # it is a pipe
    return (await process.stdout.readline()).decode().removeprefix("console: ").strip()


def without_user(dsn: str) -> str:
    """A DSN for who logs in under his own name."""
    scheme, _, rest = dsn.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
