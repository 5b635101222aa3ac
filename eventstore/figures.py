"""How far behind the log its readers and its queues are, in numbers for whoever watches over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from eventstore.sql import QUERIES

STATES = ("queued", "leased", "expired", "done", "failed", "cancelled")
"""Of jobs; `expired` is a lease that its worker has let run out and nobody has taken over yet."""


@dataclass(frozen=True)
class QueueFigures:
    """One work queue."""

    jobs: Mapping[str, int]
    """Jobs by state."""
    waiting_seconds: float
    """How long the oldest job that could be taken has been waiting; 0 where none waits."""
    lease_seconds: float
    """How long the oldest living lease has been held; 0 where there is none."""


@dataclass(frozen=True)
class Figures:
    """Everything at one moment."""

    head: int
    """Position of the last event."""
    relay_lag: int
    """Positions that no broker has been told of."""
    consumers: Mapping[str, int]
    """Positions behind the log, by consumer."""
    queues: Mapping[str, QueueFigures]
    """Work queues by name; one that never had a job is missing."""


async def read_figures(pool: asyncpg.Pool) -> Figures:
    """The figures, all from one snapshot of the database."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        positions = await connection.fetchrow(QUERIES["figure_positions"])
        consumers = await connection.fetch(QUERIES["figure_consumers"])
        queues = await connection.fetch(QUERIES["figure_queues"])
    return Figures(
        head=positions["head"],
        relay_lag=max(positions["head"] - positions["relayed"], 0),
        consumers={row["consumer"]: row["lag"] for row in consumers},
        queues={row["queue"]: _queue(row) for row in queues},
    )


def _queue(row: asyncpg.Record) -> QueueFigures:
    jobs = {state: row[state] for state in STATES}
    return QueueFigures(jobs, row["waiting_seconds"], row["lease_seconds"])
