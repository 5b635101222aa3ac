"""`aevolve console` as a process beside a database."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import PASSWORDS

ROOT = Path(__file__).parents[1]


@dataclass
class Console:
    """A page that is served."""

    process: Process
    """Its process."""
    address: str
    """What a browser opens, with a slash at the end."""
    errors: Path
    """File of what it says on its standard error."""


@asynccontextmanager
async def console(dsn: str, folder: Path, port: int = 0, **variables: str) -> AsyncIterator[Console]:
    """The page of a log, in a folder, at a port or any free one; its process ends with the context at the latest."""
    secrets = {"AEVOLVE_POSTGRES": dsn, "AEVOLVE_PASSWORD": PASSWORDS["console"], "PYTHONPATH": str(ROOT)}
    argv = ("-m", "services.console", "console", "--port", str(port))
    errors = folder / "console.errors"
    with errors.open("w") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, env={**os.environ, **secrets, **variables}, cwd=folder, stdout=PIPE, stderr=stderr
        )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 120)).decode()
        told = re.fullmatch(r"console: (http://127\.0\.0\.1:\d+/)\n", line)
        assert told, errors.read_text()
        yield Console(process, told[1], errors)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
