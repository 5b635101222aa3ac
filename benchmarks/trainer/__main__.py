"""`python -m benchmarks.trainer`: measure, print the table, write the JSON file. A missed goal is named, no failure."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.store.figures import Figure, interleaved
from benchmarks.store.machine import machine
from benchmarks.store.table import missed, table
from benchmarks.trainer import sides
from benchmarks.trainer.work import Cost, Side, Work, prepared

PACKAGES = ("aevolve", "torch", "transformers", "peft", "accelerate", "trl")

OURS, OWN = "sequential", "random"

PEERS: dict[str, tuple[Side, float]] = {
    "a bare loop of PyTorch": (sides.bare, 0.9),
    "transformers.Trainer, our batches": (partial(sides.transformers_trainer, order=OURS), 1.3),
    "TRL's SFTTrainer, our batches": (partial(sides.trl_trainer, order=OURS), 1.5),
    "transformers.Trainer, its own batches": (partial(sides.transformers_trainer, order=OWN), 1.3),
    "TRL's SFTTrainer, its own batches": (partial(sides.trl_trainer, order=OWN), 1.5),
}
"""Each peer, and how many times its rate ours is to be."""

HELD_BACK = (
    "on the same batches all sides run the same operations of the same model, which are most of a step. Next: fewer of "
    "them, such as an adapter in one product with its layer"
)


def main() -> int:
    """Run it; the exit status is 0 whatever it shows."""
    options = _parser().parse_args()
    steps, repetitions = (8, 1) if options.quick else (options.steps, options.repetitions)
    with tempfile.TemporaryDirectory(prefix="aevolve-bench-") as folder:
        work = prepared(Path(folder), steps)
        costs = asyncio.run(_measured(work, repetitions))
    figures = [*_figures(costs, "processor"), *_figures(costs, "wall")]
    print(f"{table(figures)}\n\n{missed(figures)}")
    record = {
        **_about(work),
        "quick": options.quick,
        "losses": {name: [one.loss for one in side] for name, side in zip(("ours", *PEERS), costs, strict=True)},
        "figures": [figure.record() for figure in figures],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"written to {options.out}")
    return 0


async def _measured(work: Work, repetitions: int) -> list[list[Cost]]:
    """What ours and each peer took, repetition by repetition."""
    measured = (sides.ours, *(side for side, _ in PEERS.values()))
    return await interleaved(repetitions, *(_once(side, work) for side in measured))


def _once(side: Side, work: Work) -> Callable[[], Awaitable[Cost]]:
    async def run() -> Cost:
        return side(work)

    return run


def _figures(costs: list[list[Cost]], clock: str) -> list[Figure]:
    """Ours beside each peer by one clock; goals are by the processor's, which other programs disturb less."""
    ours, *peers = ([one.tokens / getattr(one, clock) for one in side] for side in costs)
    named = {"processor": "tokens per second of processor", "wall": "tokens per second"}
    return [
        Figure(
            named[clock],
            "tokens/s",
            ours,
            rates,
            peer,
            at_least=goal if clock == "processor" else None,
            held_back=HELD_BACK,
        )
        for (peer, (_, goal)), rates in zip(PEERS.items(), peers, strict=True)
    ]


def _about(work: Work) -> dict[str, Any]:
    recipe = work.job.recipe
    return {
        **machine(PACKAGES),
        "threads": 1,
        "steps": recipe.steps,
        "batch": recipe.batch,
        "tokens": work.data.tokens,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.trainer", description="The trainer beside its peers.")
    parser.add_argument("--quick", action="store_true", help="see that everything runs; its figures mean nothing")
    parser.add_argument("--steps", type=int, default=60, help="optimizer steps of each run (60)")
    parser.add_argument("--repetitions", type=int, default=5, help="runs of each side (5)")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-trainer.json"), help="the JSON file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
