"""The snapshot job in the worker: from its order to its argument, and from its result to the event."""

from __future__ import annotations

import logging
from datetime import timedelta

from eventstore.effect import NOTHING, Append, Effect
from eventstore.store import Job
from schemas.envelope import data_stream
from schemas.events import DataBatchReady, DataFailed
from schemas.scores import BASE, Cost
from schemas.sources import DataRule, SelfSource
from services.data.job import Collecting, Sampled, Snapshot, SnapshotJob
from services.data.orders import QUEUE, DataOrder
from services.data.steps import works_of
from services.runtime.service import Failure, JobKind
from services.runtime.settings import Settings
from services.runtime.storage import artifacts
from services.runtime.substrate import base_folder

log = logging.getLogger(__name__)


def prepare(job: Job, settings: Settings) -> SnapshotJob:
    """The argument of `services.data.snapshot.make`."""
    order = DataOrder.model_validate(job.payload)
    rule = order.campaign.constitution.data
    return SnapshotJob(
        policy=order.policy,
        campaign=order.campaign,
        round=order.round,
        out=artifacts.join(settings.artifacts, "snapshots"),
        collecting=_collecting(job.campaign, order, settings, rule) if rule else None,
    )


def _collecting(campaign: str, order: DataOrder, settings: Settings, rule: DataRule) -> Collecting:
    """Where collecting continues. Raises `JobFailed` if the base to sample is not the campaign's."""
    assert order.substrate is not None
    assert order.standing is not None
    models = {spec.model for spec in rule.sources if isinstance(spec, SelfSource)}
    sampled = None
    if models:
        standing = "standing" in models
        sampled = Sampled(
            base=str(base_folder(order.substrate)),
            base_sha256=order.substrate.base_sha256,
            candidate=order.standing if standing else BASE,
            adapter=order.adapter if standing else None,
        )
    return Collecting(
        work=str(settings.work / "data" / campaign / str(order.round)),
        out=artifacts.join(settings.artifacts, "harvests"),
        copies=str(settings.copies),
        last=order.last,
        fingerprints=order.fingerprints,
        base=order.substrate.base_uri,
        sampled=sampled,
    )


def finished(job: Job, result: Snapshot) -> Effect:
    """The round's data is ready; a round that meanwhile reuses older data keeps that."""
    order = DataOrder.model_validate(job.payload)
    event = DataBatchReady(
        round=order.round,
        snapshot=result.snapshot,
        uri=result.uri,
        rows=result.rows,
        tokens=result.tokens,
        yields=result.yields,
        card=result.card,
        harvest=result.harvest,
        lineage=result.lineage,
        cost=Cost(
            seconds=round(result.seconds, 3),
            device_seconds=round(result.device_seconds, 3),
            lost_seconds=job.lost_seconds,
        ),
        basis=order.basis,
    )
    return Effect((Append(job.campaign, job.key, event, expected=0),))


def failed(job: Job, failure: Failure) -> Effect:
    """Retried until the data deadline; only giving up is an event. The next event, of either kind, charges each try."""
    log.error("the data of %s: %s: %s", job.key, failure.error, failure.message)
    if not failure.terminal:
        return NOTHING
    round_ = DataOrder.model_validate(job.payload).round
    event = DataFailed(
        round=round_, attempt=max(job.attempt, 1), error=failure.error, message=failure.message, cost=failure.cost
    )
    return Effect((Append(job.campaign, data_stream(job.campaign, round_), event),))


def gives_up(job: Job, seconds: float) -> bool:
    """Whether a try that failed after so many seconds is the last: it ended after the data deadline."""
    budget = DataOrder.model_validate(job.payload).campaign.constitution.budget
    return job.age_seconds + seconds >= budget.data_seconds


def pause(job: Job) -> timedelta:
    """Exponential backoff after a failure, up to a minute."""
    return timedelta(seconds=min(60, 2 ** min(job.attempt - 1, 6)))


SNAPSHOT = JobKind(
    queue=QUEUE,
    function="services.data.snapshot:make",
    order=DataOrder,
    prepare=prepare,
    finished=finished,
    failed=failed,
    works_of=works_of,
    gives_up=gives_up,
    pause=pause,
)
"""The kind of job that the data service's worker runs."""
