"""Which rows a recipe trains on: draws from the snapshot's cells with the recipe's weights, each cell epoch by epoch.

A cell is (domain, difficulty, wording). The snapshot holds every cell that any recipe may ask for, so the mix is the
recipe's own and two candidates of a round differ only in what their recipes say. Rows that nobody has graded are a cell
of their own, which has its part of the domain's share whatever a recipe says of difficulty and wordings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from pyarrow import parquet

from schemas.recipe import Recipe
from schemas.rows import UNGRADED, Row
from services.runtime.storage import artifacts
from services.runtime.storage.hashing import hash_parquet
from services.trainer.job import RowsMissing, SnapshotMissing, TrainingJob

Cell = tuple[str, int, int]
"""Domain, difficulty, wording."""

HELD_BACK = 16
"""One row in this many is never trained on, whatever the recipe: it judges checkpoints."""

Draw = tuple[Row, bool]
"""A row, and whether its completion is the worked trace."""


def snapshot(job: TrainingJob) -> dict[Cell, list[Row]]:
    """The rows of a job's snapshot. Raises `SnapshotMissing`, `ArtifactChanged` or `StoreFailed`."""
    try:
        return read(artifacts.fetch(job.snapshot, job.snapshot_sha256, hash_parquet, Path(job.copies)))
    except FileNotFoundError:
        words = f"snapshot: {job.snapshot!r} is not there; make the round's data again, or check artifacts"
        raise SnapshotMissing(words) from None


def read(path: str | Path) -> dict[Cell, list[Row]]:
    """The rows of a snapshot by cell, in the file's order. Raises `FileNotFoundError`."""
    cells: dict[Cell, list[Row]] = {}
    for raw in parquet.read_table(path).to_pylist():
        row = Row(**raw)
        cells.setdefault((row.domain, row.difficulty, row.wording), []).append(row)
    return cells


def probabilities(
    recipe: Recipe, domains: Sequence[str], ungraded: Mapping[str, float] | None = None
) -> dict[Cell, float]:
    """Probability of each cell that the recipe asks for; they sum to 1.

    `ungraded` is the part of a domain's rows that nobody has graded, and so of its share; none where it is left out.
    """
    ungraded = ungraded or {}
    shares = recipe.shares(tuple(domains))
    level, wording = sum(recipe.difficulty), sum(recipe.wordings)
    weights = {
        (domain, difficulty, number): share * easy / level * worded / wording * (1 - ungraded.get(domain, 0.0))
        for domain, share in shares.items()
        for difficulty, easy in enumerate(recipe.difficulty, start=1)
        for number, worded in enumerate(recipe.wordings)
    }
    weights |= {(domain, UNGRADED, 0): shares[domain] * part for domain, part in ungraded.items()}
    return {cell: weight for cell, weight in weights.items() if weight > 0}


def ungraded(cells: Mapping[Cell, Sequence[Row]]) -> dict[str, float]:
    """The part of each domain's rows that nobody has graded, where there are any."""
    rows = dict.fromkeys((domain for domain, _, _ in cells), 0)
    for (domain, _, _), held in cells.items():
        rows[domain] += len(held)
    return {cell[0]: len(held) / rows[cell[0]] for cell, held in sorted(cells.items()) if cell[1] == UNGRADED and held}


def split(cells: dict[Cell, list[Row]], seed: int) -> tuple[dict[Cell, list[Row]], dict[Cell, list[Row]]]:
    """The cells' rows shuffled and divided into those to train on and those held back.

    What was made from a row that is held back is in neither.
    """
    rng = np.random.default_rng([seed, 1])
    shuffled = {cell: [rows[i] for i in rng.permutation(len(rows))] for cell, rows in sorted(cells.items())}
    back = {cell: _originals(rows)[: len(rows) // HELD_BACK] for cell, rows in shuffled.items()}
    away = {(row.domain, row.core) for rows in back.values() for row in rows}
    itself = {id(row) for rows in back.values() for row in rows}
    train = {
        cell: [row for row in rows if id(row) not in itself and (row.domain, row.parent) not in away]
        for cell, rows in shuffled.items()
    }
    return train, {cell: rows or shuffled[cell][:1] for cell, rows in back.items()}


def _originals(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if not row.parent]


def draws(recipe: Recipe, cells: dict[Cell, list[Row]], seed: int) -> Iterator[Draw]:
    """An endless stream of rows; every row of a cell comes once before any comes again.

    Raises `RowsMissing` where the recipe asks for a cell without rows.
    """
    wanted = probabilities(recipe, sorted({domain for domain, _, _ in cells}), ungraded(cells))
    if missing := [cell for cell in wanted if not cells.get(cell)]:
        raise RowsMissing(
            f"snapshot: no rows of (domain, difficulty, wording) {missing[0]}, which the recipe's mix, difficulty and "
            "wordings ask for; make the round's data with these weights in the campaign's space"
        )
    rng = np.random.default_rng([seed, 2])
    names, weights, seen = list(wanted), list(wanted.values()), dict.fromkeys(wanted, 0)
    while True:
        picks = rng.choice(len(names), size=1024, p=weights)
        for pick, luck in zip(picks, rng.random(1024), strict=True):
            cell = names[pick]
            rows = cells[cell]
            yield rows[seen[cell] % len(rows)], bool(luck < recipe.traces)
            seen[cell] += 1


def take(stream: Iterator[Draw], n: int) -> list[Draw]:
    """The next n draws."""
    return list(islice(stream, n))
