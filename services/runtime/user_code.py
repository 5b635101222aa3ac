"""Calls functions of a user's code in a process of its own, which holds no secret of ours.

The process gets no variable `AEVOLVE_*`, and where the kernel offers Landlock it reads nothing but the system, the Python
installation and the folders of the operator's code: not the sealed key, not the evaluation files. It is started once per
file and asked by lines of JSON. User code is named in the campaign, never part of it.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.suite import UserCodeFailed

SOURCES = str(Path(__file__).resolve().parents[2])
"""Folder of our packages."""

CALL_SECONDS = 600.0
"""Longest time of one call, which may judge a thousand answers."""

LONGEST_ANSWER = 256 * 2**20
"""Bytes of one answer."""


class UserCode:
    """A process that has imported one file or package of a user. Close it, or use it as a context manager."""

    def __init__(self, target: str, readable: list[Path], seconds: float = CALL_SECONDS) -> None:
        """`target` is a file's path or the name of a package; the process may read the folders `readable`."""
        self.target, self._seconds = target, seconds
        script = f"import sys; sys.path.insert(0, {SOURCES!r}); from services.runtime.user_process import main; main()"
        self._scratch = tempfile.TemporaryDirectory(prefix="aevolve-user-code-")
        order = {"target": target, "readable": [str(folder) for folder in readable]}
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-X", "utf8", "-c", script, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**clean_environment(), "TMPDIR": self._scratch.name},
            start_new_session=True,
        )

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """The function's result. Raises `UserCodeFailed`."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps({"function": function, "arguments": arguments}).encode() + b"\n")
            stdin.flush()
        except (OSError, ValueError) as error:
            raise UserCodeFailed(f"{self.target}: its process has ended ({error}); see that it does not exit") from error
        line = _line(stdout.fileno(), self._seconds)
        if line is None:
            self.close()
            raise UserCodeFailed(
                f"{self.target}:{function} did not answer within {self._seconds:.0f} s; make it faster, or judge less"
            )
        if not line:
            raise UserCodeFailed(f"{self.target}:{function} ended its process; see that it does not exit or run out of memory")
        answer = json.loads(line)
        if "error" in answer:
            raise UserCodeFailed(f"{self.target}:{function}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        self._scratch.cleanup()


def clean_environment() -> dict[str, str]:
    """The environment without our settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AEVOLVE_")}
    return {**kept, "OMP_NUM_THREADS": kept.get("OMP_NUM_THREADS", "1"), "PYTHONHASHSEED": "0"}


def _line(descriptor: int, seconds: float) -> bytes | None:
    """The next line; empty if the process has ended, None after `seconds`."""
    until, parts, size = time.monotonic() + seconds, list[bytes](), 0
    while not (parts and parts[-1].endswith(b"\n")):
        if not select.select([descriptor], [], [], max(0.0, until - time.monotonic()))[0]:
            return None
        more = os.read(descriptor, 1 << 20)
        size += len(more)
        if not more or size > LONGEST_ANSWER:
            return b""
        parts.append(more)
    return b"".join(parts)
