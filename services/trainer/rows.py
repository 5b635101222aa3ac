"""Which rows a recipe trains on: draws from the snapshot's cells with the recipe's weights, each cell epoch by epoch.

A cell is (domain, difficulty, wording). The snapshot holds every cell that any recipe may ask for, so the mix is the
recipe's own and two candidates of a round differ only in what their recipes say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from pyarrow import parquet

from puzzles.item import Item
from schemas.recipe import Recipe
from services.runtime import artifacts
from services.runtime.hashing import hash_parquet
from services.trainer.job import RowsMissing, SnapshotMissing, TrainingJob

Cell = tuple[str, int, int]
"""Domain, difficulty, wording."""

HELD_BACK = 16
"""One row in this many is never trained on, whatever the recipe: it judges checkpoints."""

Draw = tuple[Item, bool]
"""A row, and whether its completion is the worked trace."""


def snapshot(job: TrainingJob) -> dict[Cell, list[Item]]:
    """The rows of a job's snapshot. Raises `SnapshotMissing`, `ArtifactChanged` or `StoreFailed`."""
    try:
        return read(artifacts.fetch(job.snapshot, job.snapshot_sha256, hash_parquet, Path(job.copies)))
    except FileNotFoundError:
        words = f"snapshot: {job.snapshot!r} is not there; make the round's data again, or check artifacts"
        raise SnapshotMissing(words) from None


def read(path: str | Path) -> dict[Cell, list[Item]]:
    """The rows of a snapshot by cell, in the file's order. Raises `FileNotFoundError`."""
    cells: dict[Cell, list[Item]] = {}
    for raw in parquet.read_table(path).to_pylist():
        row = Item(**raw)
        cells.setdefault((row.domain, row.difficulty, row.wording), []).append(row)
    return cells


def probabilities(recipe: Recipe, domains: Sequence[str]) -> dict[Cell, float]:
    """Probability of each cell that the recipe asks for; they sum to 1."""
    shares = recipe.shares(tuple(domains))
    level, wording = sum(recipe.difficulty), sum(recipe.wordings)
    weights = {
        (domain, difficulty, number): share * easy / level * worded / wording
        for domain, share in shares.items()
        for difficulty, easy in enumerate(recipe.difficulty, start=1)
        for number, worded in enumerate(recipe.wordings)
    }
    return {cell: weight for cell, weight in weights.items() if weight > 0}


def split(cells: dict[Cell, list[Item]], seed: int) -> tuple[dict[Cell, list[Item]], dict[Cell, list[Item]]]:
    """The cells' rows shuffled and divided into those to train on and those held back."""
    rng = np.random.default_rng([seed, 1])
    shuffled = {cell: [rows[i] for i in rng.permutation(len(rows))] for cell, rows in sorted(cells.items())}
    cut = {cell: len(rows) // HELD_BACK for cell, rows in shuffled.items()}
    train = {cell: rows[cut[cell] :] for cell, rows in shuffled.items()}
    held = {cell: rows[: cut[cell]] or rows[:1] for cell, rows in shuffled.items()}
    return train, held


def draws(recipe: Recipe, cells: dict[Cell, list[Item]], seed: int) -> Iterator[Draw]:
    """An endless stream of rows; every row of a cell comes once before any comes again.

    Raises `RowsMissing` where the recipe asks for a cell without rows.
    """
    wanted = probabilities(recipe, sorted({domain for domain, _, _ in cells}))
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
