"""Makes a round's snapshot: equal plans give equal files on every machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from schemas.evidence import Yield
from services.data.core import plan
from services.data.job import CellPlan, DomainEmpty, Snapshot, SnapshotJob, SnapshotPlan
from services.data.writer import PUZZLE_COLUMNS, Clock, Report, write_snapshot
from tasks.item import Item
from tasks.puzzles.draw import draw
from tasks.puzzles.scorer import correct


def make(job: SnapshotJob, report: Report) -> Snapshot:
    """A round's snapshot: puzzles and, for a campaign that collects data, rows of its sources.

    Raises `DomainEmpty`, and for a campaign that collects the exceptions of `services.data.collect.collect`.
    """
    planned = plan(job.policy, job.campaign, job.round)
    if job.collecting is None:
        return build(planned, job.out, report)
    from services.data.collect.collect import make_collected  # noqa: PLC0415 - loads filters that puzzles do not need

    clock = Clock()
    return make_collected(job, *draw_puzzles(planned, report), clock, report)


def build(planned: SnapshotPlan, out: str | Path, report: Report = lambda _: None) -> Snapshot:
    """Draw, filter and write the planned rows to `out/<id>.parquet`. Raises `DomainEmpty`."""
    clock = Clock()
    items, yields = draw_puzzles(planned, report)
    return write_snapshot(items, (), PUZZLE_COLUMNS, str(out), yields, clock)


def draw_puzzles(planned: SnapshotPlan, report: Report) -> tuple[list[Item], tuple[Yield, ...]]:
    """The planned rows and the yield of each domain. Raises `DomainEmpty` for a domain without a row left."""
    items: list[Item] = []
    yields: list[Yield] = []
    for domain, cells in groupby(planned.cells, key=lambda cell: cell.domain):
        domain_items, counts = _draw_domain(domain, list(cells), planned.seed)
        items, yields = items + domain_items, [*yields, counts]
        report({"step": len(yields), "rows": len(items)})
    return items, tuple(yields)


def _draw_domain(domain: str, cells: list[CellPlan], seed: str) -> tuple[list[Item], Yield]:
    """The rows of a domain that pass the filters, and its yield."""
    drafts = [item for level in range(1, 4) for item in _draw_level(domain, level, cells, seed)]
    accepted: dict[str, Item] = {}
    dropped: Counter[str] = Counter()
    for item in drafts:
        if item.core in accepted:
            dropped["duplicate"] += 1
        elif not correct(item.prompt, item.completion(traced=True), item.answer):
            dropped["unverified"] += 1
        else:
            accepted[item.core] = item
    if not accepted:
        raise DomainEmpty(f"domain {domain}: all {len(drafts)} rows were dropped ({dict(dropped)}); fix its generator")
    counts = Yield(source="puzzles", domain=domain, made=len(drafts), kept=len(accepted), dropped=dict(dropped))
    return list(accepted.values()), counts


def _draw_level(domain: str, level: int, cells: Iterable[CellPlan], seed: str) -> list[Item]:
    """One difficulty in a single draw, in which no core occurs twice, so wordings share no core."""
    rows = {cell.wording: cell.rows for cell in cells if cell.difficulty == level}
    if not rows:
        return []
    return draw(
        domain,
        sum(rows.values()),
        difficulty=[float(level == i) for i in (1, 2, 3)],
        wordings=[float(rows.get(i, 0)) for i in range(3)],
        split="train",
        seed=f"{seed}/{level}",
    )
