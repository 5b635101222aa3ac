"""A recorded campaign in a real database: every event where it stood, and the files that the events name."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from eventstore.integrity.chain import EMPTY, next_hash
from eventstore.integrity.log_import import import_log
from eventstore.row import Row
from schemas.base import canonical_json
from schemas.envelope import Envelope
from services.console.log_file import read_envelopes
from services.data.job import SnapshotJob
from services.data.snapshot import make

RECORDED = Path(__file__).parents[1] / "recorded"
CAMPAIGN = "demo-f7wqfhrj"
SHIFT = "policy:1"
"""The policy that no longer believes in dev."""
WINNER, RIGHT_ON_DEV = "r4s3", "r1s0"
"""The candidate that won, and the one that dev believed in: their receipts on dev are kept."""


def recorded() -> list[Envelope]:
    """The events of the demo at seed 2."""
    return list(read_envelopes(RECORDED / "demo.jsonl"))


def rows(envelopes: Iterable[Envelope]) -> Iterator[Row]:
    """The events as rows of a log, in a chain of their own."""
    previous = EMPTY.hash
    for x in envelopes:
        stands = (x.sequence, x.id, x.correlationid, x.subject, x.stream_version, x.type, x.version, x.source)
        row = Row(*stands, x.causationid, x.traceparent, x.time, canonical_json(x.data), b"")
        previous = next_hash(previous, row)
        yield row._replace(hash=previous)


async def bring(envelopes: Iterable[Envelope], dsn: str) -> None:
    """Put the events into an empty database, as its owner."""
    await import_log(dsn, rows(envelopes))


def files(folder: Path) -> None:
    """What the recorded events name, below a folder: receipts as they were, snapshots drawn again by their seeds."""
    shutil.copytree(RECORDED / "receipts", folder / "artifacts" / "receipts")
    said = [x.event for x in recorded()]
    policies = (event.policy for event in said if type(event).__name__ == "PolicyUpdated")
    made = (event for event in said if type(event).__name__ == "DataBatchReady")
    for policy, ready in zip(policies, made, strict=True):
        out = str(folder / "artifacts" / "snapshots")
        job = SnapshotJob(policy=policy, campaign=said[0].campaign, round=ready.round, out=out)
        assert make(job, lambda _: None).snapshot == ready.snapshot


async def laid_out(folder: Path) -> Path:
    """The folder with the files, made beside the loop."""
    await asyncio.to_thread(files, folder)
    return folder
