"""Publishing of fingerprints as a job: once, if a campaign collects data and removes sealed items from it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from eventstore.effect import NOTHING, Append, Effect, Work
from eventstore.store import Job
from judgement.history import History
from schemas.base import digest
from schemas.envelope import data_stream, fingerprint_stream
from schemas.events import DataFailed, FingerprintsPublished
from schemas.evidence import Basis
from schemas.scores import Cost
from services.oracle.fingerprints.work import FingerprintJob, Published
from services.oracle.orders import FINGERPRINTS, FingerprintOrder
from services.runtime.jobs.runner import JobFailed
from services.runtime.service import Failure, JobKind
from services.runtime.settings import Settings
from services.runtime.storage import artifacts

log = logging.getLogger(__name__)

ATTEMPTS = 1_000
"""Tries whose workers may die; the first round's data waits for it, so failed ones end with `budget.data_seconds`."""


def publish_fingerprints(history: History, now: datetime | None = None) -> Effect:
    """Queue the publishing if the campaign's data needs it and it has not happened."""
    if not history.unpublished:
        return NOTHING
    campaign = history.campaign
    basis = Basis(position=history.position, digest=digest(campaign), seed=campaign.seed)
    payload = FingerprintOrder(campaign=campaign, basis=basis).payload()
    return Effect(work=(Work(FINGERPRINTS, fingerprint_stream(history.id), history.id, payload, attempts=ATTEMPTS),))


def prepare(job: Job, settings: Settings) -> FingerprintJob:
    """The job's argument. Raises `JobFailed` where the key is missing."""
    if settings.oracle_key_file is None:
        raise JobFailed("KeyMissing", "AEVOLVE_ORACLE_KEY_FILE is not set; name a file with 16 random bytes or more")
    return FingerprintJob(
        campaign=FingerprintOrder.model_validate(job.payload).campaign,
        key_file=str(settings.oracle_key_file),
        out=artifacts.join(settings.artifacts, "fingerprints"),
        oracle_items=settings.oracle_items,
        task_path=settings.task_path,
    )


def finished(job: Job, result: Published) -> Effect:
    """The fingerprints exist."""
    event = FingerprintsPublished(
        uri=result.receipt.uri,
        sha256=result.receipt.sha256,
        items=result.items,
        ngrams=result.ngrams,
        cost=Cost(
            seconds=round(result.seconds, 3),
            device_seconds=round(result.device_seconds, 3),
            lost_seconds=job.lost_seconds,
        ),
        basis=FingerprintOrder.model_validate(job.payload).basis,
    )
    return Effect((Append(job.campaign, fingerprint_stream(job.campaign), event, expected=0),))


def failed(job: Job, failure: Failure) -> Effect:
    """Retried until the data deadline; giving up means that the first round gets no data."""
    log.error("the fingerprints of %s: %s: %s", job.campaign, failure.error, failure.message)
    if not failure.terminal:
        return NOTHING
    event = DataFailed(
        round=1, attempt=max(job.attempt, 1), error=failure.error, message=failure.message, cost=failure.cost
    )
    return Effect((Append(job.campaign, data_stream(job.campaign, 1), event),))


def gives_up(job: Job, seconds: float) -> bool:
    """Whether a try that failed after so many seconds is the last: it ended after the data deadline."""
    budget = FingerprintOrder.model_validate(job.payload).campaign.constitution.budget
    return job.age_seconds + seconds >= budget.data_seconds


FINGERPRINTING = JobKind(
    queue=FINGERPRINTS,
    function="services.oracle.fingerprints.publish:publish",
    order=FingerprintOrder,
    prepare=prepare,
    finished=finished,
    failed=failed,
    gives_up=gives_up,
    works_of=lambda history, _: publish_fingerprints(history).work,
    permanent=frozenset(
        {
            "DeadlinePassed",
            "ItemsChanged",
            "SuiteRefused",
            "TaskRefused",
            "UserCodeFailed",
        }
    ),
    pause=lambda _: timedelta(seconds=10),
)
"""The jobs of the queue `fingerprints`."""
