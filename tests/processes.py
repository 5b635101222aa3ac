"""The processes of a run on this machine, and patience."""

import os
import time
from pathlib import Path


def processes(folder: Path) -> dict[int, str]:
    """Command lines of the living processes that were started for the run in the folder."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in command + environment:
            found[int(entry.name)] = command.replace(b"\0", b" ").decode()
    return found


PATIENCE = 600.0
"""Seconds after which a test that waits for something has hung: many times what it takes on a loaded machine."""


def until(condition):
    end = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return result
