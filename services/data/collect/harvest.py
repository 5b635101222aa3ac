"""A round's harvest on disk, so that a killed job continues after its last complete step.

It is one SQLite file per round of a campaign. The rows, drops and counts of a step and the state of its source are
written in one transaction: nothing is fetched, counted or kept twice, and memory holds at most one step.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from schemas.base import canonical_json
from schemas.rows import Row
from services.data.filters.filter import Dropped, text_of
from services.data.filters.pii import scrub
from services.data.sources.source import EXAMPLES, Skipped, State

LATER = ("form", "messages", "rejected", "columns")
"""Fields of a row that came later: left out while they are empty, so that older harvests have the same bytes."""

EXCERPT = 160
"""Characters of dropped or refused input that are stored for inspection, without personal data."""

SEEN = 1_000
"""Characters that are searched for personal data, so that none is cut in two by the excerpt's end."""

UNSHOWN = frozenset({"pii", "safety", "c4_badwords"})
"""Filters whose drops are stored without an excerpt, since the text itself is the reason for the drop."""

TABLES = """
-- The state of each source.
CREATE TABLE IF NOT EXISTS state (
  source TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (source, key)) WITHOUT ROWID;
-- Kept rows of all rounds, in harvest order.
CREATE TABLE IF NOT EXISTS rows (
  n INTEGER PRIMARY KEY, round INTEGER NOT NULL, source TEXT NOT NULL, domain TEXT NOT NULL, core TEXT NOT NULL,
  row TEXT NOT NULL, UNIQUE (domain, core));
CREATE INDEX IF NOT EXISTS of_domain ON rows (domain, source, round);
-- Dropped rows of this round.
CREATE TABLE IF NOT EXISTS drops (n INTEGER PRIMARY KEY, source TEXT NOT NULL, told TEXT NOT NULL);
-- Examples of input of this round that gave no row.
CREATE TABLE IF NOT EXISTS skips (
  n INTEGER PRIMARY KEY, source TEXT NOT NULL, reason TEXT NOT NULL, uri TEXT NOT NULL, excerpt TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counts (
  round INTEGER, source TEXT, kind TEXT, reason TEXT, n INTEGER NOT NULL, PRIMARY KEY (round, source, kind, reason)
) WITHOUT ROWID;
-- Sources that have filled their quota of this round.
CREATE TABLE IF NOT EXISTS ended (source TEXT PRIMARY KEY) WITHOUT ROWID;
-- The last row of each source in this round.
CREATE TABLE IF NOT EXISTS last (source TEXT PRIMARY KEY, row TEXT NOT NULL);
"""

ADD_ROW = "INSERT INTO rows (round, source, domain, core, row) VALUES (?, ?, ?, ?, ?)"
ADD_DROP = "INSERT INTO drops (source, told) VALUES (?, ?)"
ADD_SKIP = (
    "INSERT INTO skips (source, reason, uri, excerpt) "
    "SELECT ?, ?, ?, ? WHERE (SELECT count(*) FROM skips WHERE source = ? AND reason = ?) < ?"
)
ADD_COUNT = "INSERT INTO counts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n"
SET_STATE = "INSERT OR REPLACE INTO state VALUES (?, ?, ?)"
SET_LAST = "INSERT OR REPLACE INTO last VALUES (?, ?)"
SET_ENDED = "INSERT OR IGNORE INTO ended VALUES (?)"

ADOPT = ("UPDATE rows SET round = ? WHERE round > ?", "UPDATE counts SET round = ? WHERE round > ?")
"""Count everything after a round as another round's."""

ROWS = "SELECT row FROM rows WHERE round = ? OR NOT ? ORDER BY n"
"""Kept rows in harvest order: of one round (second parameter true) or of all."""

SIZE = "SELECT coalesce(max(n), 0) FROM rows"
HAS_ROW = "SELECT 1 FROM rows WHERE domain = ? AND core = ?"
REOPEN = "DELETE FROM ended WHERE source = ?"
HAS_ENDED = "SELECT 1 FROM ended WHERE source = ?"
LAST = "SELECT row FROM last WHERE source = ?"
DROPS = "SELECT told FROM drops ORDER BY n"
SKIP = ("source", "reason", "uri", "excerpt")
SKIPS = "SELECT source, reason, uri, excerpt FROM skips ORDER BY source, reason, n"
COUNTS = "SELECT * FROM counts ORDER BY 1, 2, 3, 4"
STATES = "SELECT * FROM state ORDER BY source, key"
STATE_VALUE = "SELECT value FROM state WHERE source = ? AND key = ?"
STATE_KEYS = "SELECT key FROM state WHERE source = ? ORDER BY key"
STATE_SIZE = "SELECT count(*) FROM state WHERE source = ?"

Judged = Row | Dropped
"""The verdict on a row: kept (perhaps changed) or dropped."""


def stored(row: Row) -> dict[str, Any]:
    """The fields of a row as they are stored."""
    return {name: value for name, value in asdict(row).items() if value or name not in LATER}


@dataclass(frozen=True)
class Count:
    """A count of one outcome in one round."""

    round: int
    source: str
    kind: str
    """`dropped`, or `skipped` before it became a row."""
    reason: str
    n: int


class Harvest:
    """A round's harvest; new rows and counts belong to `round`."""

    def __init__(self, place: Path, round_: int) -> None:
        self.round = round_
        self.db = sqlite3.connect(place, isolation_level=None)
        # Committed steps survive the death of the process; only a crash of the machine could lose the last ones.
        self.db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + TABLES)

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end, roll back on an error."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def state(self, source: str) -> State:
        """The live state of a source."""
        return _State(self.db, source)

    def ended(self, source: str) -> bool:
        """Whether a source has filled its quota of this round."""
        return bool(self.db.execute(HAS_ENDED, (source,)).fetchone())

    def end(self, source: str) -> None:
        """Mark a source's quota of this round as filled."""
        self.db.execute(SET_ENDED, (source,))

    def reopen(self, source: str) -> None:
        """Let the next try ask a source again."""
        self.db.execute(REOPEN, (source,))

    def last(self, source: str) -> Row | None:
        """The last row of a source in this round, kept or not."""
        record = self.db.execute(LAST, (source,)).fetchone()
        return Row(**json.loads(record[0])) if record else None

    def set_last(self, row: Row) -> None:
        """Record the last row of its source."""
        self.db.execute(SET_LAST, (row.source, canonical_json(stored(row))))

    def adopt(self, after: int) -> None:
        """Count everything after a round as this round's."""
        with self.transaction():
            for statement in ADOPT:
                self.db.execute(statement, (self.round, after))

    def skip(self, source: str, skipped: Mapping[str, int], examples: Sequence[Skipped] = ()) -> None:
        """Count refused input of a source, and store what may be shown of its first `EXAMPLES` of each reason."""
        for reason, n in skipped.items():
            self.count(Count(self.round, source, "skipped", reason, n))
        for one in examples:
            values = (source, one.reason, _writable(scrub(one.place)[0]), _excerpt(one.text))
            self.db.execute(ADD_SKIP, (*values, source, one.reason, EXAMPLES))

    def skips(self) -> Iterator[dict[str, str]]:
        """Examples of this round's refused input: source, reason, place (`uri`), and its beginning (`excerpt`)."""
        return (dict(zip(SKIP, record, strict=True)) for record in self.db.execute(SKIPS))

    def has(self, row: Row) -> bool:
        """Whether a row with this content is kept already, in this round or an earlier one."""
        return self.db.execute(HAS_ROW, (row.domain, row.core)).fetchone() is not None

    def keep(self, row: Row, round_: int | None = None) -> None:
        """Add a row."""
        values = (round_ or self.round, row.source, row.domain, row.core, canonical_json(stored(row)))
        self.db.execute(ADD_ROW, values)

    def drop(self, source: str, row: Row, why: Dropped) -> None:
        """Count a dropped row, and store what may be shown of it."""
        entry = {"source": source, "domain": row.domain, "filter": why.filter, "reason": why.reason}
        entry |= {"detail": scrub(why.detail)[0], "uri": row.uri, "sha256": row.sha256, "parent": row.parent}
        entry["excerpt"] = "" if why.filter in UNSHOWN else _excerpt(text_of(row))
        self.db.execute(ADD_DROP, (source, canonical_json(entry)))
        self.count(Count(self.round, source, "dropped", why.key, 1))

    def count(self, more: Count) -> None:
        """Add to a count."""
        self.db.execute(ADD_COUNT, (more.round, more.source, more.kind, more.reason, more.n))

    def remember(self, source: str, values: Mapping[str, Any]) -> None:
        """Set keys of a source's state."""
        self.db.executemany(SET_STATE, [(source, key, canonical_json(value)) for key, value in values.items()])

    @property
    def size(self) -> int:
        """Kept rows of all rounds."""
        return int(self.db.execute(SIZE).fetchone()[0])

    def counts(self) -> list[Count]:
        """All counts, in a fixed order."""
        return [Count(*values) for values in self.db.execute(COUNTS)]

    def rows(self, *, new: bool = False) -> Iterator[Row]:
        """The kept rows in harvest order, of all rounds or (`new`) of this one."""
        return (Row(**json.loads(text)) for (text,) in self.db.execute(ROWS, (self.round, new)))

    def drops(self) -> Iterator[dict[str, Any]]:
        """The dropped rows of this round, in harvest order."""
        return (json.loads(text) for (text,) in self.db.execute(DROPS))

    def states(self) -> Iterator[dict[str, Any]]:
        """The state of every source, in a fixed order."""
        for source, key, value in self.db.execute(STATES):
            yield {"source": source, "key": key, "value": json.loads(value)}


def _excerpt(text: str) -> str:
    return _writable(scrub(text[:SEEN])[0][:EXCERPT])


def _writable(text: str) -> str:
    """The text without lone surrogates, which SQLite cannot store."""
    return text.encode(errors="replace").decode()


class _State(Mapping[str, Any]):
    """A source's state, read from the file key by key: it may have a million keys."""

    def __init__(self, db: sqlite3.Connection, source: str) -> None:
        self.db, self.source = db, source

    def __getitem__(self, key: str) -> Any:
        if (record := self.db.execute(STATE_VALUE, (self.source, key)).fetchone()) is None:
            raise KeyError(key)
        return json.loads(record[0])

    def __iter__(self) -> Iterator[str]:
        return (key for (key,) in self.db.execute(STATE_KEYS, (self.source,)).fetchall())

    def __len__(self) -> int:
        return int(self.db.execute(STATE_SIZE, (self.source,)).fetchone()[0])
