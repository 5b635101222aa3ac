"""Jobs that a test runs in a child process."""

import os
import time

from services.trainer.job import SnapshotMissing


def double(argument, report):
    report({"step": 1})
    return argument * 2


def explode(argument, report):
    raise LookupError(f"no {argument} here; look elsewhere")


def refuse(argument, report):
    raise SnapshotMissing(argument)


def vanish(argument, report):
    os._exit(3)


def sleep(argument, report):
    report({"pid": os.getpid()})
    time.sleep(argument)
