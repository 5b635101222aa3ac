"""`torchrun ... -m services.trainer.distributed.rank FOLDER`: one process of a job that `launch` has started.

It ends with torchrun and with the launching process: torchrun gives its processes sessions of their own, so a signal
to the job's process group does not reach them.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from services.runtime.telemetry.logs import configure
from services.runtime.telemetry.redaction import safe_message

log = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
"""Option of prctl(2): the signal that the kernel sends to a process whose parent ends."""


def main() -> None:
    """Run this rank's part of the job, and send the result or the failure."""
    die_with_parent()
    folder = Path(sys.argv[1])
    line = Client(str(folder / "line"), family="AF_UNIX")
    line.send(("here", int(os.environ["RANK"]), os.getpid()))
    threading.Thread(target=die_with, args=(line,), daemon=True).start()
    try:
        line.send(("done", learn((folder / "job.json").read_text(), line)))
    except Exception as error:
        configure(f"rank {os.environ['RANK']}", os.environ.get("AEVOLVE_LOG_FORMAT", "text"))
        log.exception("this rank failed")
        line.send(("failed", type(error).__name__, safe_message(error)))
        raise SystemExit(1) from None


def learn(text: str, line: Connection) -> Any:
    """Train; returns the result at the first rank and None at the others."""
    from services.trainer.distributed.data_parallel import this_rank
    from services.trainer.engine import follow, lead  # takes seconds to import, so after the first message
    from services.trainer.job import TrainingJob

    job = TrainingJob.model_validate_json(text)
    if this_rank().first:
        return lead(job, lambda progress: line.send(("report", progress)), beat=lambda: line.send(("step",)))
    return follow(job, beat=lambda: line.send(("step",)))


def die_with_parent() -> None:
    """Let the kernel kill this process with its parent, even if it hangs; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def die_with(line: Connection) -> None:
    """Die when the line is dead: whoever listens never speaks."""
    line.poll(None)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
