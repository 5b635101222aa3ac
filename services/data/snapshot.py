"""A snapshot is named by the hash of its rows: the same plan gives the same file on every machine, made once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from judgement.scorer import correct
from puzzles.draw import draw
from puzzles.item import Item
from schemas.evidence import Yield
from schemas.rows import Row
from services.data.core import plan
from services.data.job import CellPlan, DomainEmpty, Snapshot, SnapshotJob, SnapshotPlan
from services.data.writer import PLAIN, write

Report = Callable[[dict[str, Any]], None]


def make(job: SnapshotJob, report: Report) -> Snapshot:
    """A round's snapshot, from its policy and, where the campaign collects data, from its sources.

    Raises `DomainEmpty`, and for a campaign that collects what `services.data.collect.collect` does.
    """
    planned = plan(job.policy, job.campaign, job.round)
    if job.collecting is None:
        return build(planned, job.out, report)
    from services.data.collect.collect import make_collected  # noqa: PLC0415 - filters and models that puzzles do not need

    return make_collected(job, planned, report)


def build(plan: SnapshotPlan, out: str | Path, report: Report = lambda _: None) -> Snapshot:
    """Draw, filter and write the planned rows to `out/<id>.parquet`.

    Raises `DomainEmpty` where a domain has no row left.
    """
    clock = Clock()
    kept, yields = drawn(plan, report)
    return written(kept, (), PLAIN, str(out), yields, clock)


def drawn(plan: SnapshotPlan, report: Report) -> tuple[list[Item], tuple[Yield, ...]]:
    """The planned rows, and what became of those that were drawn for them. Raises `DomainEmpty`."""
    kept: list[Item] = []
    yields: list[Yield] = []
    for domain, cells in groupby(plan.cells, key=lambda cell: cell.domain):
        items, gave = _domain(domain, list(cells), plan.seed)
        kept, yields = kept + items, [*yields, gave]
        report({"step": len(yields), "rows": len(kept)})
    return kept, tuple(yields)


def written(
    planned: Sequence[Item],
    collected: Iterable[Row],
    columns: Sequence[str],
    out: str,
    yields: tuple[Yield, ...],
    clock: Clock,
    **more: Any,
) -> Snapshot:
    """The rows as a file, counted as they are written; `more` is what goes with a snapshot of collected rows."""
    rows, tokens = Counter[str](), Counter[str]()

    def counted() -> Iterator[Row]:
        for row in chain((_row(item) for item in planned), collected):
            rows[row.domain] += 1
            tokens[row.domain] += len("".join((row.prompt + row.completion(traced=True)).split()))
            yield row

    name, uri = write(counted(), columns, out)
    seconds, device_seconds = clock.lap()
    return Snapshot(
        snapshot=name,
        uri=uri,
        rows=dict(rows),
        tokens=dict(tokens),
        yields=yields,
        seconds=seconds,
        device_seconds=device_seconds,
        **more,
    )


class Clock:
    """Wall and processor seconds since it was made."""

    def __init__(self) -> None:
        self.wall, self.processor = time.monotonic(), time.process_time()

    def lap(self) -> tuple[float, float]:
        """Both."""
        return time.monotonic() - self.wall, time.process_time() - self.processor


def _row(item: Item) -> Row:
    return Row(**{column: getattr(item, column) for column in PLAIN})


def _domain(domain: str, cells: list[CellPlan], seed: str) -> tuple[list[Item], Yield]:
    """The rows of a domain that pass the filters, and what became of the others."""
    made = [item for level in range(1, 4) for item in _level(domain, level, cells, seed)]
    kept: dict[str, Item] = {}
    dropped: Counter[str] = Counter()
    for item in made:
        if item.core in kept:
            dropped["duplicate"] += 1
        elif not correct(item.prompt, item.completion(traced=True), item.answer):
            dropped["unverified"] += 1
        else:
            kept[item.core] = item
    if not kept:
        raise DomainEmpty(f"domain {domain}: all {len(made)} rows were dropped ({dict(dropped)}); mend its generator")
    gave = Yield(source="puzzles", domain=domain, made=len(made), kept=len(kept), dropped=dict(dropped))
    return list(kept.values()), gave


def _level(domain: str, level: int, cells: Iterable[CellPlan], seed: str) -> list[Item]:
    """One difficulty in a single draw, in which no core comes twice, so that wordings share none."""
    rows = {cell.wording: cell.rows for cell in cells if cell.difficulty == level}
    if not rows:
        return []
    difficulty = [float(level == i) for i in (1, 2, 3)]
    wordings = [float(rows.get(i, 0)) for i in range(3)]
    n = sum(rows.values())
    return draw(domain, n, difficulty=difficulty, wordings=wordings, split="train", seed=f"{seed}/{level}")
