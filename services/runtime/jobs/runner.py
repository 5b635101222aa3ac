"""Long jobs run in subprocesses forked from a warm, single-threaded process that has imported the heavy libraries.

Importing torch and peft costs as much as a small fine-tuning job, so it happens once: `multiprocessing`'s fork server
imports the modules given as `preload` and forks a child per job. A child leads its own process group, dies with the
process that asked for it (its pipe ends), and is killed with its group.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from services.runtime.telemetry.logs import configure
from services.runtime.telemetry.redaction import safe_message

log = logging.getLogger(__name__)

Report = Callable[[dict[str, Any]], None]
"""What a job calls with its progress."""


class JobFailed(Exception):
    """A job ended without a result; `error` is the class of the failure."""

    def __init__(self, error: str, message: str, device_seconds: float = 0.0) -> None:
        super().__init__(f"{error}: {message}")
        self.error, self.message, self.device_seconds = error, message, device_seconds


@dataclass(frozen=True)
class Again:
    """The result of a job that waits for somebody else: it is asked again after a pause, and no try is counted."""

    seconds: float
    """The pause."""


class JobRunner:
    """Starts jobs in forked children of one warm process."""

    def __init__(self, preload: Sequence[str]) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["services.runtime.jobs.runner", *preload])

    def warm(self) -> None:
        """Start the warm process; call it before asyncio starts."""
        multiprocessing.forkserver.ensure_running()

    async def run(self, function: str, argument: Any, report: Report, seconds: float | None) -> Any:
        """The result of `function` (`module:name`) on the argument, run in a child.

        Raises `JobFailed` where the function raised, the child died (`WorkerLost`) or `seconds` passed
        (`DeadlinePassed`). Cancelling kills the child's process group.
        """
        here, there = self.context.Pipe()
        process = self.context.Process(target=_child, args=(there, function, argument), daemon=True)
        await asyncio.to_thread(process.start)
        there.close()
        try:
            async with asyncio.timeout(seconds):
                return await _listen(here, report)
        except TimeoutError:
            raise JobFailed(
                "DeadlinePassed", f"the job ran past its deadline ({seconds:.0f} s left at its start)"
            ) from None
        finally:
            _kill_group(process.pid)
            here.close()
            await asyncio.to_thread(process.join)


async def _listen(pipe: Connection, report: Report) -> Any:
    while True:
        try:
            kind, *rest = await _receive(pipe)
        except (EOFError, OSError):  # the latter where it died within a message
            raise JobFailed(
                "WorkerLost", "the job's process died; see the service's log, and dmesg for the memory killer"
            ) from None
        if kind == "done":
            return rest[0]
        if kind == "failed":
            raise JobFailed(*rest)
        report(rest[0])


async def _receive(pipe: Connection) -> Any:
    """The next message; waits on the descriptor, so that cancelling leaves no thread behind."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pipe.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(pipe.fileno())
    return pipe.recv()


def _kill_group(pid: int | None) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if pid:
            os.killpg(pid, signal.SIGKILL)


def _child(pipe: Connection, function: str, argument: Any) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, args=(pipe,), daemon=True).start()
    module, _, name = function.partition(":")
    try:
        pipe.send(
            ("done", getattr(importlib.import_module(module), name)(argument, lambda p: pipe.send(("report", p))))
        )
    except Exception as error:
        configure(f"job {name}", os.environ.get("AEVOLVE_LOG_FORMAT", "text"))
        log.exception("the job failed")
        pipe.send(("failed", *_failure(error)))


def _failure(error: Exception) -> tuple[str, str, float]:
    """Class, message and device seconds of a failure; a `JobFailed` carries those of the job's own processes."""
    if isinstance(error, JobFailed):
        return error.error, error.message, error.device_seconds
    return type(error).__name__, safe_message(error), sum(os.times()[:4])


def _die_with_parent(pipe: Connection) -> None:
    """The parent never sends: the pipe becomes readable when it is gone."""
    pipe.poll(None)
    os.killpg(0, signal.SIGKILL)
