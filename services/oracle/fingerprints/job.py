"""The publishing of fingerprints as the log sees it: owed once, where a campaign collects data and wants it clean."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from eventstore.effect import NOTHING, Append, Effect, Work
from eventstore.store import Job
from judgement.history import History
from schemas.base import digest
from schemas.campaign import Campaign
from schemas.envelope import fingerprint_stream
from schemas.events import FingerprintsPublished
from schemas.evidence import Basis
from schemas.scores import Cost
from services.oracle.fingerprints.work import FingerprintJob, Published
from services.runtime.jobs.runner import JobFailed
from services.runtime.service import Failure, JobKind
from services.runtime.settings import Settings
from services.runtime.storage import artifacts

log = logging.getLogger(__name__)

QUEUE = "fingerprints"

ATTEMPTS = 1_000
"""The first round's data waits for it, so it is tried until it succeeds."""


def publish_fingerprints(history: History, now: datetime) -> Effect:
    """Queue the publishing, where the campaign's data is to be freed of the sealed sets and cannot be yet."""
    if not history.unpublished:
        return NOTHING
    campaign = history.campaign
    basis = Basis(position=history.position, digest=digest(campaign), seed=campaign.seed)
    payload = {"campaign": campaign.model_dump(mode="json"), "basis": basis.model_dump(mode="json")}
    return Effect(work=(Work(QUEUE, fingerprint_stream(history.id), history.id, payload, attempts=ATTEMPTS),))


def prepare(job: Job, settings: Settings) -> FingerprintJob:
    """The job's argument. Raises `JobFailed` where the key is missing."""
    if settings.oracle_key_file is None:
        raise JobFailed("KeyMissing", "AEVOLVE_ORACLE_KEY_FILE is not set; name a file with 16 random bytes or more")
    return FingerprintJob(
        campaign=Campaign.model_validate(job.payload["campaign"]),
        key_file=str(settings.oracle_key_file),
        out=artifacts.join(settings.artifacts, "fingerprints"),
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
        basis=Basis.model_validate(job.payload["basis"]),
    )
    return Effect((Append(job.campaign, fingerprint_stream(job.campaign), event, expected=0),))


def failed(job: Job, failure: Failure) -> Effect:
    """Tried again; no event, since nobody decides on it."""
    log.error("the fingerprints of %s: %s: %s", job.campaign, failure.error, failure.message)
    return NOTHING


FINGERPRINTING = JobKind(
    queue=QUEUE,
    function="services.oracle.fingerprints.publish:publish",
    prepare=prepare,
    finished=finished,
    failed=failed,
    pause=lambda _: timedelta(seconds=10),
)
"""How the oracle's worker does it."""
