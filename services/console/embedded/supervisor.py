"""Keeps processes running: what dies is started again after a pause, and what keeps dying ends the run with its log.

Every child leads its own session, so that Ctrl-C in the terminal reaches the supervisor alone, and is tethered
(`services.runtime.parent_watch`), so that it ends with the supervisor even where that is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.runtime.parent_watch import GRACE
from services.runtime.user_error import UserError

PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds before the first restart; doubled with each early death up to the longest."""
EARLY = 20.0
"""A death within this many seconds of the start counts towards giving up."""
TRIES = 6
"""Early deaths in a row after which a process is given up."""


@dataclass(frozen=True)
class Command:
    """A Python module to run as a child."""

    name: str
    """Name of the process and of its log."""
    argv: tuple[str, ...]
    """Module and arguments."""
    log: Path
    """File that its output is appended to."""
    env: Mapping[str, str] | None = None
    """Its environment; None for the supervisor's own."""
    keep: tuple[int, ...] = ()
    """Descriptors that the child inherits."""


class Child:
    """One running process and its session."""

    def __init__(self, command: Command, process: asyncio.subprocess.Process, line: BinaryIO) -> None:
        self.command, self.process, self.line = command, process, line

    @classmethod
    async def start(cls, command: Command) -> Child:
        """Start the command; its output goes to its log."""
        command.log.parent.mkdir(parents=True, exist_ok=True)
        # Not asyncio's own pipe: its `wait` would last until every grandchild that inherited the pipe has ended too.
        end, line = os.pipe()
        with command.log.open("ab") as log, os.fdopen(end) as stdin:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "services.runtime.parent_watch",
                *command.argv,
                stdin=stdin,
                stdout=log,
                stderr=log,
                env=command.env,
                start_new_session=True,
                pass_fds=command.keep,
            )
        return cls(command, process, os.fdopen(line, "wb"))

    async def wait(self) -> int:
        """The exit status, once the process has ended; negative for a signal. What it left behind is killed."""
        status = await self.process.wait()
        self._kill()
        return status

    async def run(self) -> int:
        """The exit status; the child is stopped where the wait is cancelled."""
        try:
            return await self.wait()
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """SIGTERM, a grace time, SIGKILL to the whole session."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GRACE):
                    await self.process.wait()
        finally:  # also where this wait is cancelled
            self._kill()
        await self.process.wait()

    def _kill(self) -> None:
        self.line.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def last_words(self) -> str:
        """The last line of the log that says something."""
        lines = self.command.log.read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "(nothing)")


async def keep_running(commands: Iterable[Command]) -> None:
    """Run the commands and start again what dies, until cancelled; all are stopped then.

    Raises `UserError` where one of them keeps dying early.
    """
    tasks = [asyncio.create_task(_keep(command), name=command.name) for command in commands]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep(command: Command) -> None:
    early = 0
    while True:
        began = time.monotonic()
        child = await Child.start(command)
        status = await child.run()
        early = early + 1 if time.monotonic() - began < EARLY else 1
        if early == TRIES:
            raise UserError(
                f"{command.name}: ended {TRIES} times in a row (last with status {status}); its last words: "
                f"{child.last_words()}; all of them are in {command.log}"
            )
        await asyncio.sleep(min(PAUSE * 2 ** (early - 1), LONGEST_PAUSE))
