"""How soon the containers work, and how large they are: `make bench-compose`, where a Docker engine answers.

The images are there and nothing else is: each time all volumes are new, as after `down --volumes`, and the demo starts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.compose.stack import ROOT, Stack, core_adds, missing

TIMES = 3
PATIENCE = 300.0
DEMO = ROOT / "deploy" / "campaigns" / "demo.yaml"


def first_event() -> float:
    """Seconds from `up` to the log's first event."""
    with TemporaryDirectory() as folder, Stack(Path(folder), DEMO) as stack:
        return stack.first_event(PATIENCE)


if __name__ == "__main__":
    if lacking := missing():
        sys.exit(lacking)
    for _ in range(TIMES):
        sys.stdout.write(f"from `up` to the first event: {first_event():.0f} s\n")
    sys.stdout.write(f"image core: {core_adds():.0f} MB beside its base\n")
