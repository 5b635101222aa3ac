"""`python -m benchmarks.data.memory MB`: all stages over so much text in one process; prints its highest memory in MB.

The highest since the first tenth of a megabyte was through: what models and lists take is not the question.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.data.corpus import rows
from benchmarks.data.speed import _fingerprints, _sealed, passed
from benchmarks.store.figures import Figure
from schemas.rows import Row

SMALL, LARGE = 10, 2_000
"""Megabytes."""


def measure(small: float, large: float) -> list[Figure]:
    """Memory after much text beside that after little."""
    little, much = (_run(size) for size in (small, large))
    print(f"  {much['pages']} pages, {much['kept']} kept, {much['seconds']:.0f} s of processor time")
    return [
        Figure(
            f"memory at {large:g} MB of text",
            "MB",
            [much["megabytes"]],
            [little["megabytes"]],
            f"ourselves at {small:g} MB",
            at_most=1.1,
            held_back="the index's page cache was not full before",
        )
    ]


def _run(megabytes: float) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.data.memory", str(megabytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def main() -> None:
    """Print what it took."""
    seen = {"pages": 0}

    def pages(most: float) -> Iterator[Row]:
        size = 0
        for row in rows(7):
            size += len(row.trace.encode())
            if size > most:
                return
            seen["pages"] += 1
            yield row

    kept = sum(1 for _ in passed(_fingerprints(_sealed()), pages(1e6 * float(sys.argv[1]))))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({**seen, "kept": kept, "megabytes": used.ru_maxrss / 1024, "seconds": used.ru_utime}))


if __name__ == "__main__":
    main()
