"""`python -m benchmarks.oracle`: measure, print the table, write the JSON file. A missed goal is named, no failure.

Every figure is in processor seconds of one thread: on a machine with nothing else to do, those are seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read as torch is loaded; the oracle's jobs have one as well
os.environ.setdefault("TQDM_DISABLE", "1")

from benchmarks.oracle import models, shared, ways
from benchmarks.store.figures import Figure
from benchmarks.store.machine import machine
from benchmarks.store.table import missed, table
from schemas.campaign import ItemSet

PACKAGES = ("aevolve", "lm-eval", "peft", "torch", "transformers")

HELD_BACK = {
    "demo": "most of a small model's time is overhead of each step, which both pay",
    "wide": "most of a wider model's time is arithmetic, which both must do",
}
"""What stands between us and twice the peer's speed."""


def main() -> int:
    """Run it; 0 whatever it shows."""
    options = _parser().parse_args()
    about = {
        **machine(PACKAGES),
        "quick": options.quick,
        "adapters": options.adapters,
        "items": 6 * options.items,
    }
    options.folder.mkdir(parents=True, exist_ok=True)
    figures, answers = [], {}
    for name in ("demo", "wide"):
        more, answers[name] = _measured(name, options)
        figures += more
        print(f"\n{table(more)}", flush=True)
    print(f"\n{missed(figures)}\nanswers that differ: {answers}")
    record: dict[str, Any] = {**about, "answers": answers, "figures": [figure.record() for figure in figures]}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"written to {options.out}")
    return 0


def _measured(name: str, options: argparse.Namespace) -> tuple[list[Figure], dict[str, int]]:
    base = models.make_base(options.folder, name, quick=options.quick)
    adapters = models.make_adapters(base, 2 if options.quick else options.adapters)
    item_set = ways.MeasuredSet(ItemSet(items=2 if options.quick else options.items), options.folder)
    # What is loaded once is loaded for all.
    ways.oracle(base, adapters[0], ways.MeasuredSet(ItemSet(items=1), options.folder))
    runs_by_way = {
        way: [ways.timed(way, base, adapter, item_set) for adapter in adapters]
        for way in (ways.oracle, ways.harness, ways.bare)
    }
    seconds = {way: [clock for clock, _ in runs] for way, runs in runs_by_way.items()}
    texts = {way: [answers for _, answers in runs] for way, runs in runs_by_way.items()}
    together, batched = shared.timed(base, adapters, item_set)
    per_second = {way: [item_set.number / clock for clock in values] for way, values in seconds.items()}
    figures = [
        Figure(
            f"{name}: measuring {len(adapters)} adapters",
            "items/s",
            per_second[ways.oracle],
            per_second[ways.harness],
            f"lm-eval's hf model, an adapter at a time, batch {ways.BATCH}",
            at_least=2.0,
            held_back=HELD_BACK[name],
        ),
        Figure(
            f"{name}: measuring an adapter",
            "s",
            seconds[ways.oracle],
            seconds[ways.bare],
            "generate alone, nothing scored",
            at_most=1.5 if name == "wide" else None,
        ),
        Figure(
            f"{name}: one batch of all adapters",
            "s",
            [together / len(adapters)],
            [shared.one_adapter(base, adapters[0], item_set)],
            "the oracle's decoding, an adapter at a time",
        ),
    ]
    return figures, _differing(texts, batched)


def _differing(texts: dict[Any, list[list[str]]], batched: list[list[str]]) -> dict[str, int]:
    """How many answers differ from the oracle's, of how many."""
    ours = [text for run in texts[ways.oracle] for text in run]
    others = {"hf": texts[ways.harness], "generate": texts[ways.bare], "one batch": batched}
    flat = {name: [text for run in runs for text in run] for name, runs in others.items()}
    return {"of": len(ours)} | {n: sum(a != b for a, b in zip(ours, all_, strict=True)) for n, all_ in flat.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.oracle", description="How fast adapters are measured.")
    parser.add_argument("--quick", action="store_true", help="see that everything runs; its figures mean nothing")
    parser.add_argument("--adapters", type=int, default=8, help="how many a round has (8)")
    parser.add_argument("--items", type=int, default=100, help="items of each of six domains (100)")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-oracle"), help="where models are made and kept")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/oracle.json"), help="the JSON file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
