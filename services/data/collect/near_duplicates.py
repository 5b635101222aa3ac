"""Near-duplicates within a round and across rounds: an index on disk of the sketches of all rows that were kept.

The index is one SQLite file: memory stays the same however long it gets, a transaction ends where the caller says,
and a copy of it is the state that the next round begins with. A row that was added before a crash and comes again
afterwards is not its own duplicate.
"""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from schemas.rows import Row
from services.data.collect.sketch import ALGORITHM, PERMUTATIONS, Bands, Sketch, sketch

CACHE_KIB = 8_192
"""Memory of SQLite's page cache."""

MEETINGS = 1_000
"""Most rows that one row is compared with, the earliest: boilerplate makes many meet that are not alike."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, identity BLOB, exact BLOB, core TEXT, round INTEGER,
  session INTEGER, sketch BLOB);
CREATE INDEX IF NOT EXISTS rows_exact ON rows (exact);
CREATE TABLE IF NOT EXISTS bands (key INTEGER, row INTEGER, PRIMARY KEY (key, row)) WITHOUT ROWID;
"""

_BYTE_CHANCE = 1 / 256
"""How often two different slots have the same lowest byte, which alone is kept of each."""


class IndexForeign(Exception):
    """An index was made by other rules, so its sketches cannot be compared with ours."""


class NearDuplicates:
    """The rows seen so far. Not for several threads or processes at a time."""

    def __init__(self, connection: sqlite3.Connection, threshold: float, round_: int) -> None:
        self.connection, self.threshold, self.round = connection, threshold, round_
        self.bands = Bands(threshold) if threshold < 1 else None
        self.session = self._begin()
        self._last: tuple[Row | None, Sketch] = (None, np.zeros(0, np.uint32))

    @classmethod
    def open(cls, path: str | Path, threshold: float, *, round_: int = 0) -> NearDuplicates:
        """The index in a file, which is made where it is missing.

        `threshold` is a Jaccard similarity of word 5-grams, 1 for exact duplicates alone. `round_` tells a row that
        comes again after a crash within a round from one that a later round brings again. Raises `IndexForeign`.
        """
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        return cls(connection, threshold, round_)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def seen(self, row: Row) -> str | None:
        """The core of the earliest row that is the same or nearly so; None where there is none."""
        if (core := self._exact(row)) is not None:
            return core
        return self._near(row) if self.bands else None

    def add(self, row: Row) -> None:
        """Remember a row, from the next `commit` on for good."""
        values = self._sketch(row) if self.bands else None
        kept = None if values is None else values.astype(np.uint8).tobytes()
        inserted = self.connection.execute(
            "INSERT INTO rows (identity, exact, core, round, session, sketch) VALUES (?, ?, ?, ?, ?, ?)",
            (_identity(row), _hash(row.domain, row.core), row.core, self.round, self.session, kept),
        )
        if self.bands and values is not None:
            keys = self.bands.keys(values, row.answer)
            self.connection.executemany(
                "INSERT OR IGNORE INTO bands VALUES (?, ?)", [(key, inserted.lastrowid) for key in keys]
            )

    def commit(self) -> None:
        """Make what was added outlast a crash."""
        self.connection.commit()

    def save(self, path: str | Path) -> None:
        """Write a compact copy of all that was committed, for the next round; `path` must not exist."""
        self.commit()
        self.connection.execute("VACUUM INTO ?", (str(path),))

    def close(self) -> None:
        """Forget what was not committed."""
        self.connection.close()

    def _begin(self) -> int:
        self.connection.executescript(SCHEMA)
        ours = f"{ALGORITHM}/{self.threshold}"
        self.connection.execute("INSERT OR IGNORE INTO about VALUES ('made_by', ?), ('sessions', 0)", (ours,))
        about = dict(self.connection.execute("SELECT name, value FROM about").fetchall())
        if about["made_by"] != ours:
            raise IndexForeign(
                f"near-duplicates: the index was made by {about['made_by']}, filters.near_duplicate and this release "
                f"make {ours}; begin with an empty one"
            )
        self.connection.execute("UPDATE about SET value = value + 1 WHERE name = 'sessions'")
        self.commit()
        return int(about["sessions"]) + 1

    def _exact(self, row: Row) -> str | None:
        found = self.connection.execute(
            f"SELECT core FROM rows WHERE exact = :exact AND {_OTHER} ORDER BY id LIMIT 1",  # noqa: S608  # a constant
            {"exact": _hash(row.domain, row.core), **self._self(row)},
        ).fetchone()
        return found[0] if found else None

    def _near(self, row: Row) -> str | None:
        assert self.bands
        values = self._sketch(row)
        keys = self.bands.keys(values, row.answer)
        marks = ",".join(map(str, keys))
        met = self.connection.execute(
            f"SELECT core, sketch FROM rows WHERE id IN (SELECT row FROM bands WHERE key IN ({marks})) "  # noqa: S608
            f"AND {_OTHER} ORDER BY id LIMIT {MEETINGS}",
            self._self(row),
        ).fetchall()
        if not met:
            return None
        kept = np.frombuffer(b"".join(sketch for _, sketch in met), dtype=np.uint8).reshape(-1, PERMUTATIONS)
        equal = (kept == values.astype(np.uint8)).mean(axis=1)
        alike = (equal - _BYTE_CHANCE) / (1 - _BYTE_CHANCE) >= self.threshold
        return str(met[int(alike.argmax())][0]) if alike.any() else None

    def _sketch(self, row: Row) -> Sketch:
        """A row is asked for first and added then: its sketch is made once."""
        if self._last[0] is not row:
            self._last = row, sketch(row)
        return self._last[1]

    def _self(self, row: Row) -> dict[str, object]:
        return {"identity": _identity(row), "round": self.round, "session": self.session}


_OTHER = "NOT (identity = :identity AND round = :round AND session < :session)"
"""Not the row itself, added before a crash."""


def _identity(row: Row) -> bytes:
    """The same for a row that a source gives again."""
    return _hash(row.domain, row.source, row.uri, row.core, row.prompt)


def _hash(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()
