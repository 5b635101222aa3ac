"""The rows that a recipe trains on: draws from the snapshot's cells with the recipe's weights, each cell in epochs.

A cell is (domain, difficulty, wording). The snapshot holds every cell that any recipe of the space may use, so two
candidates of a round differ only in their recipes. Ungraded rows are a cell of their own, whose part of the domain's
share does not depend on the recipe's difficulty and wordings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from pyarrow import parquet

from schemas.recipe import Recipe
from schemas.rows import UNGRADED, Row
from services.runtime.storage import artifacts
from services.runtime.storage.hashing import hash_parquet
from services.trainer.job import RowsMissing, RowsTooLong, SnapshotMissing, TrainingJob

Cell = tuple[str, int, int]
"""Domain, difficulty, wording."""

HELD_OUT_SHARE = 16
"""One row in this many is never trained on, whatever the recipe: it measures checkpoints."""

Draw = tuple[Row, bool]
"""A row, and whether its completion is the worked trace."""


def snapshot(job: TrainingJob) -> dict[Cell, list[Row]]:
    """The rows of a job's snapshot. Raises `SnapshotMissing`, `ArtifactChanged` or `StoreFailed`."""
    try:
        return read(artifacts.fetch(job.snapshot, job.snapshot_sha256, hash_parquet, Path(job.copies)))
    except FileNotFoundError:
        raise SnapshotMissing(
            f"snapshot: {job.snapshot!r} does not exist; make the round's data again, or check AEVOLVE_ARTIFACTS"
        ) from None


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
    """Probability of each cell that the recipe uses; they sum to 1.

    `ungraded` is the ungraded part of each domain's rows, and so of its share; 0 where a domain is left out.
    """
    ungraded = ungraded or {}
    shares = recipe.shares(tuple(domains))
    levels, wordings = sum(recipe.difficulty), sum(recipe.wordings)
    weights = {
        (domain, difficulty, number): share
        * level_weight
        / levels
        * wording_weight
        / wordings
        * (1 - ungraded.get(domain, 0.0))
        for domain, share in shares.items()
        for difficulty, level_weight in enumerate(recipe.difficulty, start=1)
        for number, wording_weight in enumerate(recipe.wordings)
    }
    weights |= {(domain, UNGRADED, 0): shares[domain] * part for domain, part in ungraded.items()}
    return {cell: weight for cell, weight in weights.items() if weight > 0}


def ungraded(cells: Mapping[Cell, Sequence[Row]]) -> dict[str, float]:
    """The ungraded part of each domain's rows; domains without any are left out."""
    rows = dict.fromkeys((domain for domain, _, _ in cells), 0)
    for (domain, _, _), of_cell in cells.items():
        rows[domain] += len(of_cell)
    return {
        domain: len(of_cell) / rows[domain]
        for (domain, difficulty, _), of_cell in sorted(cells.items())
        if difficulty == UNGRADED and of_cell
    }


def split(cells: dict[Cell, list[Row]], seed: int) -> tuple[dict[Cell, list[Row]], dict[Cell, list[Row]]]:
    """The cells' rows shuffled and divided into a training and a held-out set.

    A row that was derived from a held-out row is in neither.
    """
    rng = np.random.default_rng([seed, 1])
    shuffled = {cell: [rows[i] for i in rng.permutation(len(rows))] for cell, rows in sorted(cells.items())}
    held_out = {
        cell: [row for row in rows if not row.parent][: len(rows) // HELD_OUT_SHARE] for cell, rows in shuffled.items()
    }
    cores = {(row.domain, row.core) for rows in held_out.values() for row in rows}
    ids = {id(row) for rows in held_out.values() for row in rows}
    train = {
        cell: [row for row in rows if id(row) not in ids and (row.domain, row.parent) not in cores]
        for cell, rows in shuffled.items()
    }
    return train, {cell: rows or shuffled[cell][:1] for cell, rows in held_out.items()}


def draws(recipe: Recipe, cells: dict[Cell, list[Row]], seed: int) -> Iterator[Draw]:
    """An endless stream of rows; every row of a cell is drawn once before any is drawn again.

    Raises `RowsMissing` where the recipe uses a cell without rows.
    """
    weights_by_cell = probabilities(recipe, sorted({domain for domain, _, _ in cells}), ungraded(cells))
    if missing := [cell for cell in weights_by_cell if not cells.get(cell)]:
        raise RowsMissing(
            f"snapshot: no rows of (domain, difficulty, wording) {missing[0]}, which the recipe's mix, difficulty and "
            "wordings use; make the round's data with these weights in the campaign's space"
        )
    rng = np.random.default_rng([seed, 2])
    names, weights = list(weights_by_cell), list(weights_by_cell.values())
    use_counts = dict.fromkeys(names, 0)
    while True:
        picks = rng.choice(len(names), size=1024, p=weights)
        for pick, chance in zip(picks, rng.random(1024), strict=True):
            cell = names[pick]
            rows = cells[cell]
            yield rows[use_counts[cell] % len(rows)], bool(chance < recipe.traces)
            use_counts[cell] += 1


def steps(recipe: Recipe, cells: Mapping[Cell, Sequence[Row]]) -> int:
    """Optimizer steps on these rows: the recipe's, or as many as its epochs need."""
    rows: Counter[str] = Counter()
    for (domain, _, _), of_cell in cells.items():
        rows[domain] += len(of_cell)
    return recipe.steps_for(rows)


def take(stream: Iterator[Draw], n: int) -> list[Draw]:
    """The next n draws."""
    return list(islice(stream, n))


@dataclass
class LeftOut:
    """The rows that a job drew and did not use, each once."""

    too_long: dict[Row, None] = field(default_factory=dict)
    """Rows with a sequence of more tokens than the job allows."""
    unused: dict[tuple[str, Row], None] = field(default_factory=dict)
    """Rows that the method cannot use, with the reason."""

    @property
    def by_source(self) -> dict[str, int]:
        """Number of rows too long, by source."""
        return dict(sorted(Counter(row.source for row in self.too_long).items()))

    @property
    def by_reason(self) -> dict[str, int]:
        """Number of unused rows, by reason."""
        return dict(sorted(Counter(reason for reason, _ in self.unused).items()))


class Sized(Protocol):
    """What a method makes of a row."""

    @property
    def size(self) -> int:
        """Its tokens, which are limited."""


S = TypeVar("S", bound=Sized)

Make = Callable[[Sequence[Draw]], Sequence[tuple[S, ...] | str]]
"""Gives the examples of each row, or the reason why it has none."""

CHUNK = 256
"""Rows that are tokenised at once where a domain is searched for one that is short enough."""


class Sieve(Generic[S]):
    """Makes examples of drawn rows and counts the rows that are too long or that the method cannot use."""

    def __init__(self, make: Make[S], limit: int, missing: str) -> None:
        """An example has at most `limit` tokens; `missing` is the message where no row is left."""
        self.make, self.limit, self.missing = make, limit, missing
        self.too_long = 0
        """Draws that were too long."""
        self.left_out = LeftOut()
        self._domains: set[str] = set()

    def take(self, stream: Iterator[Draw], n: int) -> list[S]:
        """Examples of the stream's next rows, `n` in all. Raises `RowsMissing` where none of `n` rows is left."""
        fitting: list[S] = []
        while len(fitting) < n:
            batch = take(stream, n - len(fitting))
            for (row, _), examples in zip(batch, self.make(batch), strict=True):
                if isinstance(examples, str):
                    self.left_out.unused[examples, row] = None
                elif self._fits(examples):
                    self._domains.add(row.domain)
                    fitting += examples
                else:
                    self.left_out.too_long[row] = None
                    self.too_long += 1
            if not fitting:
                raise RowsMissing(self.missing)
        return fitting[:n]

    def check_domains(self, recipe: Recipe, cells: Mapping[Cell, Sequence[Row]]) -> None:
        """Raise `RowsTooLong` where a domain was drawn and each of its rows is too long."""
        used = probabilities(recipe, sorted({domain for domain, _, _ in cells}), ungraded(cells))
        for name in sorted({row.domain for row in self.left_out.too_long} - self._domains):
            rows = [row for cell, of_cell in cells.items() if cell[0] == name and cell in used for row in of_cell]
            if not self._any_fits(iter([(row, recipe.traces > 0) for row in rows] + [(row, False) for row in rows])):
                raise RowsTooLong(
                    f"model.max_length: each of the {len(rows)} rows of the domain {name} is longer than {self.limit} "
                    f"tokens; raise it, make shorter rows, or leave the domain out: recipe.mix.{name}: 0"
                )

    def _any_fits(self, stream: Iterator[Draw]) -> bool:
        while drawn := take(stream, CHUNK):
            if any(not isinstance(examples, str) and self._fits(examples) for examples in self.make(drawn)):
                return True
        return False

    def _fits(self, examples: Sequence[S]) -> bool:
        return all(example.size <= self.limit for example in examples)
