"""A server that lives in a child process and cannot outlive us: the child ends when its standard input does.

The kernel closes our end of that pipe however we end, SIGKILL included. The child has a session of its own, so a Ctrl-C
at the terminal does not take the server away while the services are still finishing.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import Any, Self

GRACE_SECONDS = 30.0
"""How long a child may take to stop before it is killed."""


class Silent(RuntimeError):
    """The child ended before it said where it can be reached, as one that was killed."""


class Hosted:
    """The parent's side: `python -m module arguments`, which says in one line of JSON where it can be reached."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._child: subprocess.Popen[str] | None = None
        self.said: dict[str, Any] = {}
        """What the child said."""

    def start(self) -> Self:
        """Start the child and wait until it serves. Raises `RuntimeError`; `Silent` if it gave no reason."""
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        name = " ".join(self._command[2:])
        if not line.endswith("\n"):
            self.stop()
            raise Silent(f"{name} did not start: it ended or was killed before it was ready")
        self.said = json.loads(line)
        if "error" in self.said:
            self.stop()
            raise RuntimeError(f"{name} did not start: {self.said['error']}")
        return self

    @property
    def running(self) -> bool:
        """Whether the child lives."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the child."""
        assert self._child is not None, "not started"
        return self._child.pid

    def stop(self) -> None:
        """Stop the child and wait for its end; a second call does nothing."""
        if self._child is None:
            return
        child, self._child = self._child, None
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(server: Callable[[], AbstractContextManager[dict[str, Any]]]) -> int:
    """The child's side: open the server, print its description, and close it at the end of input or on SIGTERM."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with server() as description:
            _print_json(description)
            sys.stdin.read()
    except (OSError, RuntimeError) as error:
        _print_json({"error": str(error)})
        return 1
    return 0


def _print_json(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
