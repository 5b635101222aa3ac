"""`python -m benchmarks.search`: simulate, print the tables, write the JSON file. A missed goal is named, no failure.

An hour on two cores; what has ended is kept, so a report can be stopped and gone on with.

track a     detectors on recorded campaigns: false alarms, power, delay
track b     the closed loop: regret of every policy at one budget
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.search import results, tables, track_a, track_b
from benchmarks.search.chart import draw
from benchmarks.search.figures import Figure
from benchmarks.search.kept import FILE, NOWHERE
from benchmarks.search.kinds import KINDS
from benchmarks.search.peers.registry import OURS, POLICIES
from benchmarks.search.peers.registry import SLOW as SLOW_PEERS
from benchmarks.search.plan import Plan
from benchmarks.search.pooled import spread
from benchmarks.search.recheck import recheck

PEERS = [name for name in POLICIES if name != OURS]
REPORT, PART = Path("benchmarks/results/search.json"), Path("runs/bench-search.json")
QUICK = Plan(rounds=3, slots=4)
FULL = 100
"""Seeds of the closed loop in a report; the streams of track A grow with them, 2,000 at the full number."""
SLOW = 8
"""Seeds of the peers that take twenty seconds and more for a campaign."""
OTHER = 25
"""Seeds of the other budgets, which have no goals."""


def main() -> int:
    """Run what is asked for. The exit status: 0 where it ran, whatever it showed; 1 where a recheck differs."""
    options = _options()
    if options.recheck:
        lines = recheck(REPORT, options.recheck)
        print("\n".join(lines))
        return min(1, len(lines) - 1)
    (plan,) = [QUICK] if options.quick else spread(Plan.calibrated, [Plan()], FILE)
    record = {**results.about(), "quick": options.quick, "seeds": options.seeds, "plan": vars(plan)}
    print(json.dumps(record, indent=1))
    figures: list[Figure] = []
    detectors = loop = None
    if options.track != "b":
        detectors = _detectors(options, plan, record)
        figures += detectors.figures()
    if options.track != "a":
        loop = _loop(options, plan, record)
        figures += loop.figures()
    print(f"\n{tables.goals(figures)}\n\n{tables.missed(figures)}")
    out = options.out or (PART if _partial(options) else REPORT)
    results.write(out, record, figures)
    print(f"written to {out}")
    if options.chart and detectors and loop:
        draw(options.chart, detectors, loop)
    return 0


def _partial(options: argparse.Namespace) -> bool:
    """Whether this is less than a report."""
    chosen = options.quick or options.tuning or options.track or options.kind or options.peer
    return bool(chosen) or options.seeds < FULL


def _detectors(options: argparse.Namespace, plan: Plan, record: dict[str, Any]) -> track_a.TrackA:
    n = options.seeds
    first = track_a.TUNING + 10 * n if options.tuning else track_a.SEEDS
    sizes = track_a.Sizes(4, 2, 2, first) if options.quick else track_a.Sizes(10 * n, 20 * n, 2 * n, first)
    kinds = [kind for kind in (*track_a.NULLS, *track_a.DRIFTS) if not options.kind or kind in options.kind]
    track = track_a.run(sizes, plan, kinds, NOWHERE if options.quick else FILE)
    print(f"\nTrack A, false alarms (share of campaigns, 95 %)\n{tables.false_alarms(track)}")
    print(f"\nTrack A, power (share of exposed campaigns) and delay (rounds)\n{tables.detection(track)}")
    print(f"\nThe Bayes factor would alarm in benign tuning streams: {tables.calibration(track)}")
    record["track_a"] = results.detectors(track)
    return track


def _loop(options: argparse.Namespace, plan: Plan, record: dict[str, Any]) -> track_b.TrackB:
    whole = not (options.quick or options.kind or options.peer)
    choice = track_b.Choice(
        seeds=2 if options.quick else options.seeds,
        slow_seeds=min(SLOW, options.seeds) if whole else 0,
        first=track_a.TUNING if options.tuning else track_b.SEEDS,
        kinds=tuple(options.kind or KINDS),
        peers=tuple(options.peer or PEERS),
        plan=plan,
        other_seeds=min(OTHER, options.seeds) if whole else 0,
    )
    track = track_b.run(choice, NOWHERE if options.quick else FILE)
    print(f"\nTrack B\n{tables.whole(track)}")
    record["track_b"] = results.campaigns(track)
    return track


def _options() -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args()
    if options.chart and options.track:
        parser.error(f"--chart: shows both tracks; leave out --track {options.track}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.search", description="Search and drift test beside peers.")
    parser.add_argument("--quick", action="store_true", help="see that everything runs; its figures mean nothing")
    parser.add_argument(
        "--seeds", type=_seeds, default=FULL, help=f"campaigns of each sort in the closed loop ({FULL})"
    )
    parser.add_argument("--track", choices=["a", "b"], help="this track alone")
    parser.add_argument("--tuning", action="store_true", help="on the seeds from 10000 on, which choices are made on")
    parser.add_argument("--kind", action="append", choices=KINDS, help="in this kind of world alone; repeatable")
    parser.add_argument(
        "--peer", action="append", choices=[*PEERS, *SLOW_PEERS], help="beside this peer alone; repeatable"
    )
    parser.add_argument(
        "--recheck", type=int, metavar="N", help="play N seeds of the committed report again, and compare"
    )
    parser.add_argument("--chart", type=Path, help="also draw both tracks into this file")
    parser.add_argument("--out", type=Path, help=f"the JSON file ({REPORT}; {PART} where not all of it is run)")
    return parser


def _seeds(text: str) -> int:
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError(f"{text} shows no spread: take at least 2")
    return number


if __name__ == "__main__":
    sys.exit(main())
