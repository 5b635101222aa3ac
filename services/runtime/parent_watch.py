"""A child process that cannot outlive its parent, however the parent ends.

The parent holds the writing end of the child's standard input and never writes; the kernel closes it with the parent,
also on SIGKILL. The child then sends itself SIGTERM, and kills its whole process group when it has ended by that, or
after a grace time.

`python -m services.runtime.parent_watch MODULE [ARGUMENTS]` runs a module like `python -m MODULE`, and ends
it with the parent.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

GRACE = 6.0
"""Seconds between SIGTERM and SIGKILL: an aiokafka producer without a broker leaves after its 5 s request timeout."""


_parent_gone = threading.Event()


def end_with_parent() -> None:
    """Start a thread that ends this process when the other end of its standard input closes."""
    threading.Thread(target=_watch, name="parent watch", daemon=True).start()


def _watch() -> None:
    while os.read(0, 4096):
        pass
    _parent_gone.set()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _leave(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)  # so that cleaning up still happens


if __name__ == "__main__":
    del sys.argv[0]
    signal.signal(signal.SIGTERM, _leave)
    end_with_parent()
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    finally:
        if _parent_gone.is_set():  # else the parent does it: a fork server would first finish its imports
            os.killpg(os.getpgrp(), signal.SIGKILL)
