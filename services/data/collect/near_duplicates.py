"""Finds near-duplicates within a round and across rounds: an index on disk of the MinHash sketches of all kept rows.

The index is one SQLite file, so memory does not grow with it, the caller ends its transactions, and a copy of it is
the next round's start. A row that was added before a crash and comes again is not its own duplicate.

Two questions that differ in a number or in their answer are different rows, however alike their words are: problems
made from one template differ in nothing else.

MinHash: Broder, 1997; banding: Leskovec et al., chapter 3. Sketches are rensa's, in Rust: full-set R-MinHash over the
word 5-grams of a text, which in scripts without blanks are of characters (`schemas.words`). docs/guides/data.md
compares it with its peers.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import rensa

from judgement.fingerprints.questions import mix
from judgement.fingerprints.tokens import numbers
from schemas.rows import Row
from schemas.words import split_words

WORDS = 5
"""Words of a shingle."""

PERMUTATIONS = 128
"""Slots of a sketch: the standard error of a similarity of 0.8 is 0.035."""

SEED = 20240229
"""Seed of the permutations; sketches of different seeds are not comparable."""

ALGORITHM = f"rensa/{rensa.RMinHash.ALGORITHM_VERSION}/{PERMUTATIONS}/{WORDS}/{SEED}/characters"
"""Identifies how stored sketches were made; `characters`: in scripts without blanks each is a word."""

RECALL = 0.95
"""Minimum share of pairs at the threshold that must share a band; sharing one only leads to a comparison."""

CACHE_KIB = 8_192
"""Memory of SQLite's page cache."""

CANDIDATES = 1_000
"""Maximum rows that one row is compared with, the earliest ones: boilerplate makes many share a band."""

TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, identity BLOB, exact BLOB, core TEXT, round INTEGER,
  session INTEGER, sketch BLOB);
CREATE INDEX IF NOT EXISTS rows_exact ON rows (exact);
CREATE TABLE IF NOT EXISTS bands (key INTEGER, row INTEGER, PRIMARY KEY (key, row)) WITHOUT ROWID;
"""

SET_ABOUT = "INSERT OR IGNORE INTO about VALUES ('made_by', ?), ('sessions', 0)"
ABOUT = "SELECT name, value FROM about"
NEW_SESSION = "UPDATE about SET value = value + 1 WHERE name = 'sessions'"
ADD_ROW = "INSERT INTO rows (identity, exact, core, round, session, sketch) VALUES (?, ?, ?, ?, ?, ?)"
ADD_BAND = "INSERT OR IGNORE INTO bands VALUES (?, ?)"

NOT_ITSELF = "NOT (identity = :identity AND round = :round AND session < :session)"
"""Excludes the row itself, added before a crash."""

EXACT = f"SELECT core FROM rows WHERE exact = :exact AND {NOT_ITSELF} ORDER BY id LIMIT 1"  # noqa: S608 - a constant
"""The earliest row with the same core."""

SHARING_A_BAND = (
    "SELECT core, sketch FROM rows WHERE id IN (SELECT row FROM bands WHERE key IN ({keys})) "  # noqa: S608 - integers
    f"AND {NOT_ITSELF} ORDER BY id LIMIT {CANDIDATES}"
)
"""The earliest rows that share one of the bands."""

U64 = np.uint64
Sketch = npt.NDArray[np.uint32]

_BYTE_CHANCE = 1 / 256
"""How often two different slots have the same lowest byte, the only one that is stored."""


class IndexForeign(Exception):
    """An index was made by other rules, so its sketches are not comparable."""


class NearDuplicates:
    """The index of all rows seen so far, for one thread of one process."""

    def __init__(self, connection: sqlite3.Connection, threshold: float, round_: int) -> None:
        self.connection, self.threshold, self.round = connection, threshold, round_
        self.bands = Bands(threshold) if threshold < 1 else None
        self.session = self._begin()
        self._last: tuple[Row | None, Sketch] = (None, np.zeros(0, np.uint32))

    @classmethod
    def open(cls, path: str | Path, threshold: float, *, round_: int = 0) -> NearDuplicates:
        """Open an index, and create a missing file.

        `threshold` is a Jaccard similarity of word 5-grams, 1 for exact duplicates alone. `round_` distinguishes a row
        that is repeated after a crash from one that a later round yields again. Raises `IndexForeign`.
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

    def earliest_match(self, row: Row) -> str | None:
        """The core of the earliest equal or similar row; None if there is none."""
        identity = {"identity": _identity(row), "round": self.round, "session": self.session}
        exact = self.connection.execute(EXACT, {"exact": _hash(row.domain, row.core), **identity}).fetchone()
        if exact:
            return str(exact[0])
        if self.bands is None:
            return None
        values = self._sketch(row)
        keys = ",".join(map(str, self.bands.keys(values, distinguishing(row))))
        candidates = self.connection.execute(SHARING_A_BAND.format(keys=keys), identity).fetchall()
        if not candidates:
            return None
        stored = np.frombuffer(b"".join(sketch for _, sketch in candidates), dtype=np.uint8).reshape(-1, PERMUTATIONS)
        equal = (stored == values.astype(np.uint8)).mean(axis=1)
        similar = (equal - _BYTE_CHANCE) / (1 - _BYTE_CHANCE) >= self.threshold
        return str(candidates[int(similar.argmax())][0]) if similar.any() else None

    def add(self, row: Row) -> None:
        """Add a row; it is durable after the next `commit`."""
        values = self._sketch(row) if self.bands else None
        stored = None if values is None else values.astype(np.uint8).tobytes()
        inserted = self.connection.execute(
            ADD_ROW, (_identity(row), _hash(row.domain, row.core), row.core, self.round, self.session, stored)
        )
        if self.bands and values is not None:
            keys = self.bands.keys(values, distinguishing(row))
            self.connection.executemany(ADD_BAND, [(key, inserted.lastrowid) for key in keys])

    def commit(self) -> None:
        """Make added rows survive a crash."""
        self.connection.commit()

    def save(self, path: str | Path) -> None:
        """Write a compact copy of everything committed, for the next round; `path` must not exist."""
        self.commit()
        self.connection.execute("VACUUM INTO ?", (str(path),))

    def close(self) -> None:
        """Close the index; uncommitted rows are lost."""
        self.connection.close()

    def _begin(self) -> int:
        self.connection.executescript(TABLES)
        ours = f"{ALGORITHM}/{self.threshold}"
        self.connection.execute(SET_ABOUT, (ours,))
        about = dict(self.connection.execute(ABOUT).fetchall())
        if about["made_by"] != ours:
            raise IndexForeign(
                f"near-duplicates: the index was made by {about['made_by']}, filters.near_duplicate and this release "
                f"make {ours}; start with an empty index"
            )
        self.connection.execute(NEW_SESSION)
        self.commit()
        return int(about["sessions"]) + 1

    def _sketch(self, row: Row) -> Sketch:
        """The row's sketch, computed once for `seen` and the `add` that follows."""
        if self._last[0] is not row:
            self._last = row, sketch(row)
        return self._last[1]


def _identity(row: Row) -> bytes:
    """Equal for a row that a source yields again."""
    return _hash(row.domain, row.source, row.uri, row.core, row.prompt)


def _hash(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()


def shingles(text: str) -> list[str]:
    """The word 5-grams of a text, lower case and without punctuation; a shorter text is one shingle."""
    tokens = split_words(text.lower())
    if len(tokens) <= WORDS:
        return [" ".join(tokens)]
    return list(map(" ".join, zip(*(tokens[at:] for at in range(WORDS)), strict=False)))


def distinguishing(row: Row) -> str:
    """What two rows that are near must have in common: of questions the answer and the numbers, nothing of texts."""
    if not row.prompt:
        return row.answer
    answer = row.answer or " ".join(row.trace.split())  # a completion as it stands is its own answer
    return "\n".join((answer, *numbers(row.prompt)))


def sketch(row: Row) -> Sketch:
    """The sketch of a row's prompt and trace. Shape (PERMUTATIONS,)."""
    minhash = rensa.RMinHash(num_perm=PERMUTATIONS, seed=SEED)
    minhash.update(shingles(f"{row.prompt} {row.trace}"))
    return np.array(minhash.digest(), dtype=np.uint32)


class Bands:
    """How a sketch is cut into bands for a threshold; rows that share a band are compared."""

    def __init__(self, threshold: float) -> None:
        self.rows = max(rows for rows in range(1, PERMUTATIONS + 1) if rows == 1 or _meet(threshold, rows) >= RECALL)
        self.count = PERMUTATIONS // self.rows

    @cached_property
    def _weights(self) -> npt.NDArray[np.uint64]:
        return np.random.default_rng(SEED).integers(1, 2**63, size=self.rows, dtype=U64) | U64(1)

    def keys(self, values: Sketch, distinguishing: str) -> list[int]:
        """One signed 64-bit key per band. Rows that must not be alike in all of `distinguishing` share none."""
        cut = values[: self.count * self.rows].reshape(self.count, self.rows).astype(U64)
        salt = np.arange(1, self.count + 1, dtype=U64) << U64(32) | U64(zlib.crc32(distinguishing.encode()))
        with np.errstate(over="ignore"):
            mixed = mix((cut * self._weights).sum(axis=1, dtype=U64) ^ mix(salt))
        keys: list[int] = mixed.view(np.int64).tolist()
        return keys


def _meet(similarity: float, rows: int) -> float:
    """Probability that two texts of a similarity share a band of so many rows."""
    return float(1 - (1 - similarity**rows) ** (PERMUTATIONS // rows))
