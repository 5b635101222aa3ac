"""`python -m benchmarks.loop`: the demo campaign at several seeds, by our policy and by baselines, and its null twins.

An hour or more on two cores; what has ended is kept in the folder, so it can be stopped and gone on with, and
`--earlier FILE` takes what a result file holds of the same campaigns, run on another day or machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.loop.results import SEARCHES, Results, alarms, final, lost_shares
from benchmarks.loop.runs import DEMO, Run, planned, played
from benchmarks.search import results, tables

REPORT = Path("benchmarks/results/loop.json")


def main() -> int:
    """Run what is missing, print the tables, write the JSON file; 0 whatever they show."""
    options = _options()
    plan = [run for run in planned(options.seeds, options.twins) if not options.search or run.search in options.search]
    earlier = json.loads(options.earlier.read_text(encoding="utf-8"))["campaigns"] if options.earlier else {}
    records: dict[Run, Mapping[str, Any]] = {}
    for run in plan:
        start, sha256 = time.monotonic(), run.sha256(options.campaign)
        record = earlier.get(run.name, {})
        if record.get("file_sha256") != sha256:
            record = _record(played(run, options.folder, options.rounds, options.campaign, quick=options.quick), sha256)
        records[run] = record
        print(f"{run.name}: {_line(record)} ({time.monotonic() - start:.0f} s)", flush=True)
        _write(options.out, records)
    done = Results(records)
    if done.seeds:
        print(f"\n{_finals(done)}\n\n{tables.goals(done.figures())}\n\n{tables.missed(done.figures())}")
    print(f"written to {options.out}")
    return 0


def _write(file: Path, records: Mapping[Run, Mapping[str, Any]]) -> None:
    done = Results(records)
    record = {**results.about(), "campaigns": {run.name: record for run, record in records.items()}}
    results.write(file, record, done.figures() if done.seeds else ())


def _line(record: Mapping[str, Any]) -> str:
    gain = record["gain"]
    score = f"final {100 * record['final']:.1f} %, {100 * gain['mean']:+.1f} ± {100 * gain['sd']:.1f} over the base"
    lost = ", ".join(f"{source} {100 * share:.1f} %" for source, share in record["lost"].items()) or "none"
    return f"{score}, {record['alarms']} alarms, {record['tokens_per_second']:.0f} tokens/s, records lost: {lost}"


def _record(report: Mapping[str, Any], file_sha256: str) -> dict[str, Any]:
    """What is kept of a report, with what was run (see `Run.sha256`) and the commit that ran it."""
    fields = ("campaign", "seed", "null_twin", "gain", "external_queries", "seconds", "constitution_sha256")
    winner = {kind: report["winner"][kind] for kind in ("candidate", "recipe", "dev", "external", "final")}
    return {
        **{key: report[key] for key in fields},
        "base": report["base"]["final"]["score"],
        "final": final(report),
        "alarms": alarms(report),
        "tokens_per_second": round(report["cost"]["tokens"] / report["seconds"]["train"], 1),
        "lost": lost_shares(report),
        "winner": winner,
        "file_sha256": file_sha256,
        "commit": results.about()["commit"],
    }


def _finals(campaigns: Results) -> str:
    head = ("final score, %", *(f"seed {seed}" for seed in campaigns.seeds), "mean")
    rows = [(search, campaigns.finals(search)) for search in SEARCHES]
    return tables.columns([head, *((s, *(f"{100 * v:.1f}" for v in (*fs, sum(fs) / len(fs)))) for s, fs in rows)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each search, and null twins (5)")
    parser.add_argument("--twins", type=int, help="null twins, in place of one per seed")
    parser.add_argument("--campaign", type=Path, default=DEMO, help="campaign file (the demo's)")
    parser.add_argument("--search", action="append", choices=SEARCHES, help="this search alone; repeatable")
    parser.add_argument("--rounds", type=int, help="rounds, in place of the demo's; its figures mean nothing")
    parser.add_argument("--quick", action="store_true", help="one seed, short campaigns, results in the folder")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-loop"), help="where the runs are kept")
    parser.add_argument("--earlier", type=Path, help="a result file whose campaigns of the same file are not run again")
    parser.add_argument("--out", type=Path, default=REPORT, help=f"the JSON file ({REPORT})")
    options = parser.parse_args()
    if options.quick:  # no figure of a short campaign comes among those of whole ones
        options.folder = options.folder.with_name(f"{options.folder.name}-quick")
        options.seeds, options.out = 1, options.folder / "results.json"
    return options


if __name__ == "__main__":
    raise SystemExit(main())
