"""What may not end on some text runs in a child process with a limit of processor time: patterns and formulas."""

from __future__ import annotations

import atexit
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

CPU_SECONDS = {"find": 1.0, "math": 5.0}
"""Processor time that one task of the child process may use, in seconds; it has no result past that."""
MEMORY = 4 << 30
"""Address space of the child process, in bytes."""


def last_match(pattern: str, text: str) -> str | None:
    """First group, else the whole, of the last match of a pattern; None without a match or beyond the time."""
    match: str | None = _CHILD.ask("find", pattern, text)
    return match


def same_formula(reference: str, formula: str) -> bool:
    """Whether two formulas are equal by math-verify; False beyond the time."""
    return bool(_CHILD.ask("math", reference, formula))


class _Child:
    """A child process that computes what may not end. The operating system ends it when its processor time is used up.

    Neither a signal handler nor an exception stops `9**9**9` or a backtracking `re`, and signals need the main thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, task: str, *texts: str) -> Any:
        """The result of a task in `TASKS`, or None if it failed or used up its time."""
        request = json.dumps([task, CPU_SECONDS[task], texts]).encode() + b"\n"
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(request)
                process.stdin.flush()
                reply = process.stdout.readline()
            except BrokenPipeError:
                reply = b""
            if not reply.endswith(b"\n"):
                self._close()
                return None
            return json.loads(reply)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return self._process
        path = os.pathsep.join(part for part in sys.path if part)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from tasks.scorers.child_process import _serve; _serve()"],
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._owner = os.getpid()
        atexit.register(self._close)
        return self._process

    def _close(self) -> None:
        atexit.unregister(self._close)
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.communicate()


_CHILD = _Child()


def _serve() -> None:  # pragma: no cover  # runs in the child process
    """Answer the tasks on standard input until it closes."""
    import logging  # noqa: PLC0415
    import resource  # noqa: PLC0415

    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    replies, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        task, seconds, texts = json.loads(line)
        if task == "math":
            importlib.import_module("math_verify")  # not charged to the task
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            result = TASKS[task](*texts)
        except Exception:  # noqa: BLE001  # any failure on a model's text means that there is no result
            result = None
        signal.setitimer(signal.ITIMER_PROF, 0)
        replies.write(json.dumps(result) + "\n")
        replies.flush()


def _last_match(pattern: str, text: str) -> str | None:
    """First group, else the whole, of the last match of a pattern."""
    match = None
    for match in re.finditer(pattern, text):  # noqa: B007  # the last one is used below
        pass
    if match is None:
        return None
    group = match.group(1) if match.re.groups else None
    return match.group() if group is None else str(group)


def _same_formula(reference: str, formula: str) -> bool:
    """Whether two formulas are equal by math-verify."""
    library = importlib.import_module("math_verify")
    importlib.import_module("sympy.core.random").seed(0)
    left, right = (library.parse(f"${text}$", parsing_timeout=None) for text in (reference, formula))
    return bool(left and right and library.verify(left, right, timeout_seconds=None))


TASKS: Mapping[str, Callable[..., Any]] = {"find": _last_match, "math": _same_formula}
