"""A log that nobody appended: rows with a right chain, made one by one, so that any length fits in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from benchmarks.store import payload
from eventstore.batch import uuid7
from eventstore.integrity.chain import EMPTY, next_hash
from eventstore.row import Row

PER_STREAM = 100
PER_CAMPAIGN = 10_000
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def rows(number: int) -> Iterator[Row]:
    """The first `number` rows of a log of trained checkpoints, in campaigns and streams as a loop would make them."""
    previous = EMPTY.hash
    for position in range(1, number + 1):
        row = _row(position)
        previous = next_hash(previous, row)
        yield row._replace(hash=previous)


def _row(position: int) -> Row:
    """A row, but for its hash."""
    place = position - 1
    campaign = f"{payload.CAMPAIGN}-{place // PER_CAMPAIGN}"
    return Row(
        position=position,
        id=uuid7(),
        campaign=campaign,
        stream=f"{campaign}/{place % PER_CAMPAIGN // PER_STREAM}",
        stream_version=place % PER_STREAM + 1,
        type=payload.TYPE,
        version=1,
        source="aevolve/trainer",
        causation=None,
        traceparent=None,
        time=BEGAN + timedelta(microseconds=position),
        data=payload.TEXT,
        hash=EMPTY.hash,
    )
