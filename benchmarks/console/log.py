"""A log of a million events with one real campaign in its middle."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from benchmarks.store.generated import rows
from eventstore.integrity.chain import EMPTY, next_hash
from eventstore.row import Row
from schemas.base import canonical_json
from services.console.log_file import read_envelopes


def log(number: int, recorded: Path) -> Iterator[Row]:
    """`number` generated rows, with the rows of a recorded campaign after half of them, in one right chain."""
    generated, previous = rows(number), EMPTY.hash
    whole = chain(islice(generated, number // 2), campaign(recorded), generated)
    for position, row in enumerate(whole, 1):
        placed = row._replace(position=position)
        previous = next_hash(previous, placed)
        yield placed._replace(hash=previous)


def campaign(recorded: Path) -> Iterator[Row]:
    """The rows of a `log.jsonl`, without a hash."""
    for told in read_envelopes(recorded):
        yield Row(
            position=told.sequence,
            id=told.id,
            campaign=told.correlationid,
            stream=told.subject,
            stream_version=told.stream_version,
            type=told.type,
            version=told.version,
            source=told.source,
            causation=told.causationid,
            traceparent=told.traceparent,
            time=told.time,
            data=canonical_json(told.event),
            hash=EMPTY.hash,
        )
