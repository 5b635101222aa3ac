"""A snapshot is named by the hash of its rows: the same plan gives the same file on every machine, made once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

from datasets import Dataset

from judgement.scorer import correct
from puzzles.draw import draw
from puzzles.item import Item
from schemas.evidence import Yield
from services.data.core import plan
from services.data.job import CellPlan, DomainEmpty, Snapshot, SnapshotJob, SnapshotPlan
from services.runtime import artifacts
from services.runtime.hashing import hash_rows

COLUMNS = ("domain", "difficulty", "wording", "prompt", "answer", "trace", "core")
"""Columns of the Parquet file, fields of an item."""


def make(job: SnapshotJob, report: Callable[[dict[str, Any]], None]) -> Snapshot:
    """A round's snapshot, from its policy."""
    return build(plan(job.policy, job.campaign, job.round), job.out, report)


def build(plan: SnapshotPlan, out: str | Path, report: Callable[[dict[str, Any]], None] = lambda _: None) -> Snapshot:
    """Draw, filter and write the planned rows to `out/<id>.parquet`.

    Raises `DomainEmpty` where a domain has no row left.
    """
    wall, processor = time.monotonic(), time.process_time()
    kept: list[Item] = []
    yields: list[Yield] = []
    for domain, cells in groupby(plan.cells, key=lambda cell: cell.domain):
        items, gave = _domain(domain, list(cells), plan.seed)
        kept, yields = kept + items, [*yields, gave]
        report({"step": len(yields), "rows": len(kept)})
    name, uri = _write(kept, str(out))
    return Snapshot(
        snapshot=name,
        uri=uri,
        rows=dict(Counter(item.domain for item in kept)),
        tokens={gave.domain: _size(item for item in kept if item.domain == gave.domain) for gave in yields},
        yields=tuple(yields),
        seconds=time.monotonic() - wall,
        device_seconds=time.process_time() - processor,
    )


def _domain(domain: str, cells: list[CellPlan], seed: str) -> tuple[list[Item], Yield]:
    """The rows of a domain that pass the filters, and what became of the others."""
    drawn = [item for level in range(1, 4) for item in _level(domain, level, cells, seed)]
    kept: dict[str, Item] = {}
    dropped: Counter[str] = Counter()
    for item in drawn:
        if item.core in kept:
            dropped["duplicate"] += 1
        elif not correct(item.prompt, item.completion(traced=True), item.answer):
            dropped["unverified"] += 1
        else:
            kept[item.core] = item
    if not kept:
        raise DomainEmpty(f"domain {domain}: all {len(drawn)} rows were dropped ({dict(dropped)}); mend its generator")
    gave = Yield(source="puzzles", domain=domain, made=len(drawn), kept=len(kept), dropped=dict(dropped))
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


def _size(items: Iterable[Item]) -> int:
    return sum(len("".join((item.prompt + item.completion(traced=True)).split())) for item in items)


def _write(items: list[Item], out: str) -> tuple[str, str]:
    """Id and place of the rows' file; it appears whole, or it is there already."""
    rows = [{column: getattr(item, column) for column in COLUMNS} for item in items]
    name = hash_rows(rows)
    uri = artifacts.join(out, f"{name}.parquet")
    artifacts.keep(uri, lambda: _parquet(rows))
    return name, uri


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    Dataset.from_list(rows).to_parquet(file := BytesIO())
    return file.getvalue()
