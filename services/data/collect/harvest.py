"""What a round's sources have given so far, on disk: a killed job goes on behind the last step that was written whole.

One SQLite file for a campaign's round. A step's rows, drops and counts and what its source remembers are one
transaction, so nothing is fetched, counted or kept twice, and no more than a step is in memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from schemas.base import canonical_json
from schemas.rows import Row
from services.data.filters.filter import Dropped, text_of
from services.data.sources.source import State

EXCERPT = 160
"""Characters of a dropped row that are kept to look at."""

UNSHOWN = frozenset({"pii", "safety", "c4_badwords"})
"""Filters whose drops are kept without a word of the text: it is the text that made them drop it."""

TABLES = """
CREATE TABLE IF NOT EXISTS state (
  source TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (source, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
  n INTEGER PRIMARY KEY, round INTEGER NOT NULL, source TEXT NOT NULL, domain TEXT NOT NULL, core TEXT NOT NULL,
  row TEXT NOT NULL, UNIQUE (domain, core));
CREATE INDEX IF NOT EXISTS of_domain ON rows (domain, source, round);
CREATE TABLE IF NOT EXISTS drops (n INTEGER PRIMARY KEY, source TEXT NOT NULL, told TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counts (
  round INTEGER, source TEXT, kind TEXT, reason TEXT, n INTEGER NOT NULL, PRIMARY KEY (round, source, kind, reason)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ended (source TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS last (source TEXT PRIMARY KEY, row TEXT NOT NULL);
"""

Judged = Row | Dropped
"""A row that is kept, perhaps changed, or why it is not."""


@dataclass(frozen=True)
class Count:
    """How often something became of what a source gave, in one round."""

    round: int
    source: str
    kind: str
    """`dropped`, or `skipped` before it was a row."""
    reason: str
    n: int


class Harvest:
    """A round's harvest; `round` counts what is new."""

    def __init__(self, place: Path, round_: int) -> None:
        self.round = round_
        self.db = sqlite3.connect(place, isolation_level=None)
        # What was committed survives the death of the process; only the machine's own could lose the last steps.
        self.db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + TABLES)

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def state(self, source: str) -> State:
        """What a source remembers, as it is at each look."""
        return _State(self.db, source)

    def ended(self, source: str) -> bool:
        """Whether a source has given its share of this round."""
        return bool(self.db.execute("SELECT 1 FROM ended WHERE source = ?", (source,)).fetchone())

    def end(self, source: str) -> None:
        """A source has nothing more for this round."""
        self.db.execute("INSERT OR IGNORE INTO ended VALUES (?)", (source,))

    def last(self, source: str) -> Row | None:
        """The row that a source gave last in this round, kept or not."""
        found = self.db.execute("SELECT row FROM last WHERE source = ?", (source,)).fetchone()
        return Row(**json.loads(found[0])) if found else None

    def given(self, row: Row) -> None:
        """A source gave this row last."""
        self.db.execute("INSERT OR REPLACE INTO last VALUES (?, ?)", (row.source, canonical_json(asdict(row))))

    def adopt(self, after: int) -> None:
        """Count what came after a round as this round's."""
        with self.transaction():
            for table in ("rows", "counts"):
                self.db.execute(f"UPDATE {table} SET round = ? WHERE round > ?", (self.round, after))  # noqa: S608

    def skip(self, source: str, skipped: Mapping[str, int]) -> None:
        """Count what a source refused or passed over."""
        for reason, n in skipped.items():
            self.count(Count(self.round, source, "skipped", reason, n))

    def has(self, row: Row) -> bool:
        """Whether a row with this content is kept already, of this round or one before."""
        found = self.db.execute("SELECT 1 FROM rows WHERE domain = ? AND core = ?", (row.domain, row.core))
        return found.fetchone() is not None

    def keep(self, row: Row, round_: int | None = None) -> None:
        """Add a row."""
        values = (round_ or self.round, row.source, row.domain, row.core, canonical_json(asdict(row)))
        self.db.execute("INSERT INTO rows (round, source, domain, core, row) VALUES (?, ?, ?, ?, ?)", values)

    def drop(self, source: str, row: Row, why: Dropped) -> None:
        """Count a dropped row, and keep what can be shown of it."""
        told = {"source": source, "domain": row.domain, "filter": why.filter, "reason": why.reason}
        told |= {"detail": why.detail, "uri": row.uri, "sha256": row.sha256, "parent": row.parent}
        told["excerpt"] = "" if why.filter in UNSHOWN else text_of(row)[:EXCERPT]
        self.db.execute("INSERT INTO drops (source, told) VALUES (?, ?)", (source, canonical_json(told)))
        self.count(Count(self.round, source, "dropped", why.key, 1))

    def count(self, more: Count) -> None:
        """Add to a count."""
        self.db.execute(
            "INSERT INTO counts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
            (more.round, more.source, more.kind, more.reason, more.n),
        )

    def remember(self, source: str, values: Mapping[str, Any]) -> None:
        """Set keys of a source's state."""
        pairs = [(source, key, canonical_json(value)) for key, value in values.items()]
        self.db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", pairs)

    @property
    def held(self) -> int:
        """Kept rows, of all rounds."""
        return int(self.db.execute("SELECT coalesce(max(n), 0) FROM rows").fetchone()[0])

    def counts(self) -> list[Count]:
        """Every count, in a fixed order."""
        return [Count(*found) for found in self.db.execute("SELECT * FROM counts ORDER BY 1, 2, 3, 4")]

    def rows(self, *, new: bool = False) -> Iterator[Row]:
        """The kept rows in their order, of all rounds or only of this one."""
        query = "SELECT row FROM rows WHERE round = ? OR NOT ? ORDER BY n"
        return (Row(**json.loads(text)) for (text,) in self.db.execute(query, (self.round, new)))

    def drops(self) -> Iterator[dict[str, Any]]:
        """What this round dropped, in its order."""
        return (json.loads(told) for (told,) in self.db.execute("SELECT told FROM drops ORDER BY n"))

    def states(self) -> Iterator[dict[str, Any]]:
        """The state of every source, in a fixed order."""
        for source, key, value in self.db.execute("SELECT * FROM state ORDER BY source, key"):
            yield {"source": source, "key": key, "value": json.loads(value)}


class _State(Mapping[str, Any]):
    """A source's keys, read from the file: a state of a million pages is not held in memory."""

    def __init__(self, db: sqlite3.Connection, source: str) -> None:
        self.db, self.source = db, source

    def __getitem__(self, key: str) -> Any:
        query = "SELECT value FROM state WHERE source = ? AND key = ?"
        if (found := self.db.execute(query, (self.source, key)).fetchone()) is None:
            raise KeyError(key)
        return json.loads(found[0])

    def __iter__(self) -> Iterator[str]:
        found = self.db.execute("SELECT key FROM state WHERE source = ? ORDER BY key", (self.source,)).fetchall()
        return (key for (key,) in found)

    def __len__(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM state WHERE source = ?", (self.source,)).fetchone()[0])
