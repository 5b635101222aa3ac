"""Whether the committed report is of today's code: some of its campaigns are played again, and must end as recorded.

Every campaign follows from its world's seed, so an equal regret means equal decisions. Another processor or another
version of numpy may round differently, and change a campaign without anybody being wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.search.peers.registry import SLOW
from benchmarks.search.plan import Plan
from benchmarks.search.pooled import spread
from benchmarks.search.track_b import MAIN, SEEDS, Task, played

DIGITS = 5
"""Digits of a regret that a report holds."""


def recheck(report: Path, seeds: int) -> list[str]:
    """Play the report's first campaigns of every kind and policy again; a line for each, with what differs."""
    record = json.loads(report.read_text(encoding="utf-8"))
    plan = Plan(**record["plan"])
    recorded = {
        Task(MAIN, plan, row["kind"], row["policy"], SEEDS + at): regret
        for row in record["track_b"]
        if row["setting"] == MAIN and row["policy"] not in SLOW
        for at, regret in enumerate(row["regret"][:seeds])
    }
    tasks = sorted(recorded, key=lambda task: (task.kind, task.seed))  # a world's best is looked for once
    replayed = {task: round(outcome.regret, DIGITS) for task, outcome in zip(tasks, spread(played, tasks), strict=True)}
    return _lines(tasks, {task: (recorded[task], regret) for task, regret in replayed.items()})


def _lines(tasks: Sequence[Task], regrets: dict[Task, tuple[float, float]]) -> list[str]:
    others = [task for task in tasks if regrets[task][0] != regrets[task][1]]
    return [
        f"{len(tasks) - len(others)} of {len(tasks)} campaigns end with the recorded regret",
        *(f"{t.kind} {t.seed} {t.policy}: recorded {regrets[t][0]}, now {regrets[t][1]}" for t in others),
    ]
