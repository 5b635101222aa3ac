"""Jobs that a test runs in a child process."""

import ctypes
import os
import subprocess
import time
from pathlib import Path

from services.runtime.jobs.runner import Again
from services.trainer.job import SnapshotMissing


def double(argument, report):
    report({"step": 1})
    return argument * 2


def wait(argument, report):
    """Wait for somebody else, who is there as soon as a file is."""
    return "there" if Path(argument).exists() else Again(0.1)


def explode(argument, report):
    raise LookupError(f"no {argument} here; look elsewhere")


def overfill(argument, report):
    Path("/dev/full").write_text(argument)


def refuse(argument, report):
    raise SnapshotMissing(argument)


def vanish(argument, report):
    os._exit(3)


def sleep(argument, report):
    report({"pid": os.getpid()})
    time.sleep(argument)


def hold_the_interpreter(seconds, report):
    """Keep the interpreter's lock all the while: no thread of this process runs."""
    report({"pid": os.getpid()})
    ctypes.PyDLL(None).usleep(ctypes.c_uint(int(seconds * 1e6)))
    return seconds


def have_a_child(seconds, report):
    """Start a process of the job's own and wait for it."""
    child = subprocess.Popen(["sleep", str(seconds)])
    report({"pid": child.pid})
    child.wait()
