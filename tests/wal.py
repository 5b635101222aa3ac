"""What a piece of work writes to the write-ahead log: the number and the size of its records, by `pg_waldump`.

Full page images are left out: how many there are depends on when the last checkpoint was. So are records without a
transaction, which are the server's own.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from eventstore.embedded.postgres import programs

RECORD = re.compile(r"^rmgr: .*? len \(rec/tot\): +(\d+)/ *\d+, tx: +([1-9]\d*),", re.MULTILINE)
"""Length without full page images, and transaction."""


@dataclass(frozen=True, order=True)
class Written:
    """The records of some transactions."""

    records: int
    size: int
    """In bytes."""


async def written(owner: asyncpg.Connection, work: Callable[[], Awaitable[object]]) -> Written:
    """What the work writes; nothing else may write in the meantime."""
    start = await owner.fetchval("SELECT pg_current_wal_insert_lsn()::text")
    await work()
    end = await owner.fetchval("SELECT pg_current_wal_flush_lsn()::text")
    folder = await owner.fetchval("SELECT current_setting('data_directory')")
    command: list[str | Path] = [
        programs() / "pg_waldump",
        f"--path={folder}/pg_wal",
        f"--start={start}",
        f"--end={end}",
    ]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sizes = [int(length) for length, _ in RECORD.findall(lines)]
    return Written(len(sizes), sum(sizes))
