"""A snapshot job as the log sees it."""

from __future__ import annotations

import logging

from eventstore.effect import NOTHING, Append, Effect
from eventstore.store import Job
from schemas.events import DataBatchReady
from schemas.evidence import Basis
from schemas.scores import Cost
from services.data.job import Snapshot, SnapshotJob
from services.data.steps import QUEUE
from services.runtime import artifacts
from services.runtime.service import Failure, JobKind
from services.runtime.settings import Settings

log = logging.getLogger(__name__)


def prepare(job: Job, settings: Settings) -> SnapshotJob:
    """The generator's argument."""
    given = {key: job.payload[key] for key in ("policy", "campaign", "round")}
    return SnapshotJob.model_validate(given | {"out": artifacts.join(settings.artifacts, "snapshots")})


def finished(job: Job, result: Snapshot) -> Effect:
    """The round's data exists; a round that has fallen back on older data meanwhile keeps that."""
    event = DataBatchReady(
        round=job.payload["round"],
        snapshot=result.snapshot,
        uri=result.uri,
        rows=result.rows,
        tokens=result.tokens,
        yields=result.yields,
        cost=Cost(
            seconds=round(result.seconds, 3),
            device_seconds=round(result.device_seconds, 3),
            lost_seconds=job.lost_seconds,
        ),
        basis=Basis.model_validate(job.payload["basis"]),
    )
    return Effect((Append(job.campaign, job.key, event, expected=0),))


def failed(job: Job, failure: Failure) -> Effect:
    """Tried again until the data deadline; no event, since nobody decides on it."""
    log.error("the data of %s: %s: %s", job.key, failure.error, failure.message)
    return NOTHING


SNAPSHOT = JobKind(
    queue=QUEUE, function="services.data.snapshot:make", prepare=prepare, finished=finished, failed=failed
)
"""How the data service's worker does its work."""
