"""Results on disk: an hour's run that is cut short goes on where it stopped, and code that changed starts anew."""

from __future__ import annotations

import hashlib
import pickle
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Self

FILE, NOWHERE = "runs/bench-search.sqlite", ":memory:"
ROOT = Path(__file__).parents[2]
DECIDING = ("judgement", "schemas", "benchmarks/search")
"""Packages that a simulated campaign depends on."""


class ResultStore:
    """Results by the work that they came of. The file is this program's own: it holds pickles."""

    def __init__(self, file: str) -> None:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(file)
        self.db.execute("create table if not exists result (key text primary key, value blob not null)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()

    def find(self, work: Callable[..., Any], task: object) -> Any:
        """The result, or `None` where there is none yet."""
        row = self.db.execute("select value from result where key = ?", (_key(work, task),)).fetchone()
        return pickle.loads(row[0]) if row else None  # noqa: S301  # written by this program alone

    def add(self, work: Callable[..., Any], task: object, result: object) -> None:
        """Keep a result, for good from now on."""
        with self.db:
            self.db.execute("insert or replace into result values (?, ?)", (_key(work, task), pickle.dumps(result)))


def _key(work: Callable[..., Any], task: object) -> str:
    return f"{code()} {work.__qualname__} {task!r}"


@cache
def code() -> str:
    """Digest of the source that decides a result."""
    files = sorted(file for package in DECIDING for file in (ROOT / package).rglob("*.py"))
    sources = (f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes() for file in files)
    return hashlib.sha256(b"".join(sources)).hexdigest()[:16]
