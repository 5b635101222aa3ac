"""A wrong clock for a process and its children: the environment that gives them one."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("skew.c")


def wrong_clock(folder: Path, ahead: int) -> dict[str, str]:
    """Variables that put the time of day so many seconds ahead; the library that does it is made in the folder."""
    library = folder / "skew.so"
    if not library.exists():
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(SOURCE)], check=True)
    return {"LD_PRELOAD": str(library), "AEVOLVE_TEST_SKEW": str(ahead)} if ahead else {}
