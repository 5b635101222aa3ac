"""The folders of a campaign's harvests on this host, one a round, side by side.

A harvest that was not there in time is not lost: its round went on with older data, and the next one begins with it.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from services.data.collect.harvest import Harvest

FILE = "harvest.db"


class HarvestBusy(Exception):
    """Another process of this machine harvests in a folder."""


@contextmanager
def alone(folder: Path) -> Iterator[Path]:
    """A round's folder, for one process at a time. Raises `HarvestBusy`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HarvestBusy(f"{folder}: another process harvests there; it is tried again") from None
        yield folder


def take_over(folder: Path, round_: int, used: int) -> bool:
    """Whether the harvest of a round after `used`, the last whose data the loop had, is here and now this round's.

    What it holds counts as this round's; sources that had given their share have given this round's. Raises
    `HarvestBusy` where it is still going on.
    """
    for earlier in range(round_ - 1, used, -1):
        late = folder.parent / str(earlier)
        if (late / FILE).exists():
            with alone(late):
                with closing(Harvest(late / FILE, round_)) as harvest:
                    harvest.adopt(used)
                (late / FILE).rename(folder / FILE)
            return True
    return False


def discard_old(folder: Path) -> None:
    """Remove the folders of the campaign's rounds before the last one: their harvests lie among the artifacts."""
    for other in folder.parent.iterdir():
        if other.name.isdecimal() and int(other.name) < int(folder.name) - 1:
            shutil.rmtree(other, ignore_errors=True)
