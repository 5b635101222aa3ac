"""Runs one program against its tests in two confined processes and reads a one-line verdict.

The tester sends the verdict on a pipe that the solver does not have. `run` always kills both processes and their
children before it returns; if the calling process is killed, the kernel kills them.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from services.runtime.sandbox.limits import Limits

SOURCES = str(Path(__file__).resolve().parents[3])
"""Folder of our packages, for an interpreter that starts without any search path."""

START_SECONDS = 60.0
"""How long a process may take to confine itself, on a busy machine."""

ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
"""All of it. A thread's own arena would reserve 128 MiB of the address space that a program may have."""

WORDS = ("passed", "test failed", "test raised", "program raised", "program ended", "no plain answer", "nothing asked")
"""Reports of a tester."""


@dataclass(frozen=True)
class Verdict:
    """What became of a program."""

    passed: bool
    """Whether it met every test."""
    why: str
    """One of `WORDS`, `too slow` or `tester ended`: never text of the program."""


class SandboxUnavailable(Exception):
    """This machine lacks a fence of the sandbox; nothing was run."""


def run(program: str, tests: str, calls: Sequence[str], helpers: str = "", limits: Limits = Limits()) -> Verdict:  # noqa: B008
    """Whether the program passes the tests, which reach it only by calling its functions `calls`.

    `helpers` is the task's own code for the tests, which the program cannot replace.
    Raises `SandboxUnavailable` where a fence is missing; then no line of the program was run.
    """
    (ask_there, ask_here), (tell_here, tell_there) = os.pipe(), os.pipe()
    solving = {"program": program, "requests": ask_there, "answers": tell_there}
    testing = {"tests": tests, "calls": list(calls), "given": helpers, "requests": ask_here, "answers": tell_here}
    with _confined(solving, limits) as solver, _confined(testing, limits) as tester:
        for report in (solver, tester):
            _ready(report)
        word = _line(tester, limits.seconds)
    why = "too slow" if word is None else word if word in WORDS else "tester ended"
    return Verdict(passed=why == "passed", why=why)


@contextmanager
def _confined(work: dict[str, Any], limits: Limits) -> Iterator[int]:
    """Start a confined process and yield the descriptor of its report; on exit, kill it and all its children."""
    here, there = os.pipe()
    passed = (there, work["requests"], work["answers"])
    order = {**work, "report": there, "limits": asdict(limits), "message": limits.message}
    process = _start(json.dumps(order).encode(), passed)
    for descriptor in passed:
        os.close(descriptor)
    try:
        yield here
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(here)


def _start(work: bytes, passed: Sequence[int]) -> subprocess.Popen[bytes]:
    stdin = os.memfd_create("work")
    os.write(stdin, work)
    os.lseek(stdin, 0, os.SEEK_SET)
    script = f"import sys; sys.path.insert(0, {SOURCES!r}); from services.runtime.sandbox.launcher import main; main()"
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", script],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=passed,
            env=ENVIRONMENT,
            start_new_session=True,
        )
    finally:
        os.close(stdin)


def _ready(report: int) -> None:
    line = _line(report, START_SECONDS)
    if line != "ready":
        missing = (line or "").removeprefix("missing ") or "the process ended before it was confined"
        raise SandboxUnavailable(f"sandbox: {missing}; allow it to this user, or leave constitution.run_code false")


def _line(report: int, seconds: float) -> str | None:
    """The next line without its end; empty if the process has ended, None after `seconds`."""
    until, line = time.monotonic() + seconds, b""
    while not line.endswith(b"\n"):
        if not select.select([report], [], [], max(0.0, until - time.monotonic()))[0]:
            return None
        if not (more := os.read(report, 1)):
            return ""
        line += more
    return line.decode(errors="replace").strip()
