"""`python -m benchmarks.data.memory STAGES MB`: so much text through stages in one process; prints its highest memory.

What the stages remember is the question, not what their models take: after 10 MB these are loaded. All stages are run
over ten times as much, and those that remember rows (the fingerprints of a source's last row, and the near-duplicate
index) over two hundred times as much, since the filters before them judge each row by itself and take most of the time.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.data.corpus import rows
from benchmarks.data.speed import _fingerprints, _sealed, distinct, passed
from benchmarks.store.figures import Figure
from judgement.fingerprints.index import Fingerprints
from schemas.rows import Row

SMALL, ALL, LARGE = 10.0, 100.0, 2_000.0
"""Megabytes: of a beginning, through all stages, and through those that remember."""


def measure(small: float, everything: float, large: float) -> list[Figure]:
    """Memory after much text beside that after little."""
    return [_beside("all", small, everything), _beside("remembering", small, large)]


def _beside(stages: str, small: float, large: float) -> Figure:
    little, much = (_run(stages, size) for size in (small, large))
    print(f"  {stages}: {much['pages']} pages, {much['kept']} kept, {much['seconds']:.0f} s of processor time")
    return Figure(
        f"memory of {NAMES[stages]} at {large:g} MB of text",
        "MB",
        [much["megabytes"]],
        [little["megabytes"]],
        f"ourselves at {small:g} MB",
        at_most=1.1,
        held_back="the index's page cache was not full before",
    )


def _run(stages: str, megabytes: float) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.data.memory", stages, str(megabytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    usage: dict[str, float] = json.loads(done.stdout)
    return usage


def remembering(fingerprints: Fingerprints, pages: Iterator[Row]) -> Iterator[Row]:
    """The stages whose verdict on a row depends on rows before it."""
    return distinct(row for row in pages if fingerprints.contaminated(row) is None)


STAGES = {"all": passed, "remembering": remembering}
NAMES = {"all": "all stages", "remembering": "the stages that remember"}


def main() -> None:
    """Print what it took."""
    stages, most = STAGES[sys.argv[1]], 1e6 * float(sys.argv[2])
    read = {"pages": 0}

    def pages() -> Iterator[Row]:
        size = 0
        for row in rows(7):
            size += len(row.trace.encode())
            if size > most:
                return
            read["pages"] += 1
            yield row

    left = sum(1 for _ in stages(_fingerprints(_sealed()), pages()))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({**read, "kept": left, "megabytes": used.ru_maxrss / 1024, "seconds": used.ru_utime}))


if __name__ == "__main__":
    main()
