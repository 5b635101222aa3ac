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
    for envelope in read_envelopes(recorded):
        yield Row(
            position=envelope.sequence,
            id=envelope.id,
            campaign=envelope.correlationid,
            stream=envelope.subject,
            stream_version=envelope.stream_version,
            type=envelope.type,
            version=envelope.version,
            source=envelope.source,
            causation=envelope.causationid,
            traceparent=envelope.traceparent,
            time=envelope.time,
            data=canonical_json(envelope.event),
            hash=EMPTY.hash,
        )
