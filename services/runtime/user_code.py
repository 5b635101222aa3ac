"""Calls functions of a user's code in a process of its own, which holds no secret of ours.

The process gets none of our variables, and where the kernel offers Landlock it reads nothing but the system, the Python
installation and the operator's code: not the sealed key, not the evaluation files. It is started once per file or
package and asked by lines of JSON. User code is named in the campaign, never part of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tasks.suite import UserCodeFailed

SOURCES = str(Path(__file__).resolve().parents[2])
"""Folder of our packages."""

CALL_SECONDS = 600.0
"""Longest time of one call, which may judge a thousand answers."""

LONGEST_ANSWER = 256 * 2**20
"""Bytes of one answer."""

SECRETS = re.compile("^(AEVOLVE_|AWS_|KAGGLE_|PGPASS)|TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY", re.IGNORECASE)
"""Names of variables that can hold our settings and passwords, or those of others, such as a hub's."""


class UserCode:
    """A process that has imported one file or package of a user. Close it, or use it as a context manager."""

    def __init__(
        self, target: str, readable: Sequence[Path], seconds: float = CALL_SECONDS, *, listable: Sequence[Path] = ()
    ) -> None:
        """`target` is a file's path or the name of a package.

        The process may read `readable`, and the names in the folders `listable`; a call ends after `seconds`.
        """
        self.target, self._seconds = target, seconds
        script = f"import sys; sys.path.insert(0, {SOURCES!r}); from services.runtime.user_process import main; main()"
        self._scratch = tempfile.TemporaryDirectory(prefix="aevolve-user-code-")
        order = {"target": target, "readable": [*map(str, readable)], "listable": [*map(str, listable)]}
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-P", "-X", "utf8", "-c", script, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**clean_environment(), "TMPDIR": self._scratch.name},
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions, self._answers = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._questions, False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def ended(self) -> bool:
        """Whether the process has ended, and answers no more calls."""
        return self._process.poll() is not None

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """The function's result. `MODULE:NAME` is a function of our own that gets the user's module as `module`.

        Raises `UserCodeFailed`; the process then has ended unless the function raised or returned no JSON.
        """
        try:
            line = self._asked(json.dumps({"function": function, "arguments": arguments}).encode() + b"\n")
        except _Failed as failed:
            self.close()
            raise UserCodeFailed(f"{self.target}:{function} {failed}") from None
        try:
            answer = json.loads(line)
            failure = answer.get("error")
            result = answer["result"] if failure is None else None
        except (AttributeError, KeyError, ValueError, RecursionError):  # the code has written to our pipe itself
            self.close()
            raise UserCodeFailed(f"{self.target}:{function} wrote into our pipe; leave its descriptors alone") from None
        if failure is not None:
            raise UserCodeFailed(f"{self.target}:{function}: {failure}")
        return result

    def _asked(self, question: bytes) -> bytes:
        """The line that answers a line. Raises `_Failed`."""
        if self.ended:
            raise _Failed("is not there: its process has ended")
        until = time.monotonic() + self._seconds
        unsent = memoryview(question)
        with contextlib.suppress(BrokenPipeError):  # the answer, or its absence, then names what happened
            while unsent:
                self._wait([], [self._questions], until)
                unsent = unsent[os.write(self._questions, unsent[: 1 << 16]) :]
        parts, size = list[bytes](), 0
        while not (parts and parts[-1].endswith(b"\n")):
            self._wait([self._answers], [], until)
            more = os.read(self._answers, 1 << 20)
            if not more:
                raise _Failed(f"ended its process ({self._end()}); see that it does not exit or run out of memory")
            parts.append(more)
            size += len(more)
            if size > LONGEST_ANSWER:
                raise _Failed(f"returned more than {LONGEST_ANSWER >> 20} MiB; return less")
        return b"".join(parts)

    def _wait(self, readable: list[int], writable: list[int], until: float) -> None:
        if not any(select.select(readable, writable, [], max(0.0, until - time.monotonic()))):
            raise _Failed(f"did not answer within {self._seconds:g} s; make it faster, or judge less")

    def _end(self) -> str:
        status = self._process.wait()
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"

    def close(self) -> None:
        """End the process and those that it started."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream and not stream.closed:
                stream.close()
        self._scratch.cleanup()


class _Failed(Exception):
    """Why a process gave no answer."""


def clean_environment() -> dict[str, str]:
    """The environment without our settings and passwords."""
    variables = {name: value for name, value in os.environ.items() if not SECRETS.search(name)}
    return {**variables, "OMP_NUM_THREADS": variables.get("OMP_NUM_THREADS", "1"), "PYTHONHASHSEED": "0"}
