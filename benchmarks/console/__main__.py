"""`python -m benchmarks.console`: measure, print the table, write the JSON file. A missed goal is named, no failure."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.console import followers, rounds, scroll
from benchmarks.console.log import log
from benchmarks.console.served import served
from benchmarks.store import machine
from benchmarks.store.figures import Figure
from benchmarks.store.huge import NoRoom, require_room
from benchmarks.store.scratch import Scratch
from benchmarks.store.table import missed, table
from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.integrity.log_import import import_log

EVENTS = 1_000_000
RECORDED = Path("tests/recorded/demo.jsonl")


def main() -> int:
    """Run it; the exit status: 0 where it ran, whatever it showed, and 2 where it cannot."""
    options = _parser().parse_args()
    try:
        record = asyncio.run(_measured(options))
    except (machine.NoDisk, NoRoom) as problem:
        print(problem, file=sys.stderr)
        return 2
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"written to {options.out}")
    return 0


async def _measured(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="aevolve-bench-", dir=options.folder) as place:
        folder = Path(place)
        about = machine.describe(folder)
        with EmbeddedPostgres(folder / "postgres") as server:
            scratch = Scratch(server, folder, options.quick)
            await scratch.prepare()
            about |= {"postgres": await machine.describe_server(server.dsn), "events": scratch.number(EVENTS)}
            print(json.dumps(about, indent=1))
            figures = await _figures(scratch, about["events"])
    print(f"\n{table(figures)}\n\n{missed(figures)}")
    return {**about, "quick": options.quick, "figures": [figure.record() for figure in figures]}


async def _figures(scratch: Scratch, events: int) -> list[Figure]:
    require_room(scratch, events)
    dsn = await scratch.log()
    await import_log(dsn, log(events, RECORDED))
    await scratch.tidy(dsn)
    async with served(dsn) as page:
        return [
            *await rounds.measure(page, dsn, RECORDED, scratch.repetitions),
            *await scroll.measure(page, warm=events // 1000),
            *await followers.measure(page, dsn, scratch.repetitions),
        ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.console", description="The web page on a long log.")
    parser.add_argument("--quick", action="store_true", help="see that everything runs; its figures mean nothing")
    parser.add_argument("--folder", type=Path, help="where the scratch database lies, on a real disk (the system's)")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-console.json"), help="the JSON file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
