"""The main program of a confined process: raise the fences, say so, and only then look at the work.

Its standard input is the work as JSON. It reports on one descriptor: `ready`, or which fence is missing; the tester
also reports the verdict there. It is started as an interpreter of its own, because the process that asks has threads.
"""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from services.runtime.sandbox import fences, kernel
from services.runtime.sandbox.limits import Limits
from services.runtime.sandbox.solver import serve
from services.runtime.sandbox.tester import judge


def main() -> None:
    """Leave the namespaces, fork a confined child that does the work, and wait for it."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    with open(0, "rb", closefd=False) as stdin:
        work = json.load(stdin)
    os.dup2(1, 0)
    try:
        fences.leave()
        child = os.fork()
        if not child:
            fences.close_in(Limits(**work["limits"]))
    except fences.Missing as missing:
        os.write(work["report"], f"missing {missing}\n".encode())
        os._exit(1)
    if child:
        _wait(child, work)
    _do(work)


def _wait(child: int, work: dict[str, Any]) -> None:
    for name in ("report", "requests", "answers"):
        os.close(work[name])
    os.waitpid(child, 0)
    os._exit(0)


def _do(work: dict[str, Any]) -> None:
    """Solve or test, by what the work holds. Never returns: no exit handler of the program runs."""
    os.write(work["report"], b"ready\n")
    if "program" in work:
        os.close(work["report"])
        with open(work["requests"], "rb") as requests, open(work["answers"], "wb") as answers:  # noqa: PTH123
            serve(work, requests, answers)
    else:
        with open(work["requests"], "wb") as requests, open(work["answers"], "rb") as answers:  # noqa: PTH123
            os.write(work["report"], judge(work, requests, answers).encode() + b"\n")
    os._exit(0)
