"""`python -m benchmarks.store`: measure, print the table, write the JSON file. A missed goal is named, and no failure.

appends     one event per call, and batches, beside `eventsourcing`
imports     a checked import beside COPY
reads       for the relay, and typed, beside `eventsourcing`
effects     whole effects beside three bare statements
latency     append to handler beside a bare insert, produce and fetch
chain       the store beside itself without the hash
huge        a long log beside a short one; only with --huge or --only huge
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.store import appends, chain_cost, effects, huge, imports, latency, machine, payload, reads
from benchmarks.store.figures import Figure
from benchmarks.store.scratch import Scratch
from benchmarks.store.table import missed, table
from eventstore.embedded.postgres import EmbeddedPostgres

Measure = Callable[[Scratch], Awaitable[list[Figure]]]

MEASURES: dict[str, Measure] = {
    "appends": appends.measure,
    "imports": imports.measure,
    "reads": reads.measure,
    "effects": effects.measure,
    "latency": latency.measure,
    "chain": chain_cost.measure,
}
LEAST = 1_000


def main() -> int:
    """Run what is asked for; the exit status: 0 where it ran, whatever it showed, and 2 where it cannot."""
    options = _parser().parse_args()
    measures: dict[str, Measure] = {**MEASURES, "huge": partial(huge.measure, events=options.events)}
    names = options.only or [*MEASURES, *(["huge"] if options.huge else [])]
    try:
        record = asyncio.run(_measured(options, [measures[name] for name in names]))
    except (machine.NoDisk, huge.NoRoom) as problem:
        print(problem, file=sys.stderr)
        return 2
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"written to {options.out}")
    return 0


async def _measured(options: argparse.Namespace, measures: Sequence[Measure]) -> dict[str, Any]:
    """Everything that was measured, and on what; shown as it comes."""
    with tempfile.TemporaryDirectory(prefix="aevolve-bench-", dir=options.folder) as place:
        folder = Path(place)
        about = machine.describe(folder)
        with EmbeddedPostgres(folder / "postgres") as server:
            scratch = Scratch(server, folder, options.quick)
            await scratch.prepare()
            await scratch.slow_commits(options.commit_ms)
            about |= {"payload_bytes": len(payload.BYTES), "postgres": await machine.describe_server(server.dsn)}
            print(json.dumps(about, indent=1))
            figures = [figure for measure in measures for figure in await measure(scratch)]
        about["commit_ms_added"] = options.commit_ms
        about["fdatasync_ms_after"] = machine.fdatasync_ms(folder)
    print(f"\n{table(figures)}\n\n{missed(figures)}")
    return {**about, "quick": options.quick, "figures": [figure.record() for figure in figures]}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.store", description="The event store beside its peers.")
    parser.add_argument("--quick", action="store_true", help="see that everything runs; its figures mean nothing")
    parser.add_argument("--only", action="append", choices=[*MEASURES, "huge"], help="measure this alone; repeatable")
    parser.add_argument("--huge", action="store_true", help="also measure the end of a long log")
    parser.add_argument("--events", type=_events, default=10_000_000, help="length of the long log (10_000_000)")
    parser.add_argument("--commit-ms", type=int, default=0, help="longer flushes, as of a slower disk")
    parser.add_argument("--folder", type=Path, help="where the scratch database lies, on a real disk (the system's)")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-store.json"), help="the JSON file")
    return parser


def _events(text: str) -> int:
    number = int(text)
    if number < LEAST:
        raise argparse.ArgumentTypeError(f"{text} is too short a log to show anything: take at least {LEAST:,}")
    return number


if __name__ == "__main__":
    sys.exit(main())
