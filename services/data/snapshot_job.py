"""A snapshot job as the log sees it."""

from __future__ import annotations

import logging
from datetime import timedelta

from eventstore.effect import NOTHING, Append, Effect
from eventstore.store import Job
from schemas.campaign import Substrate
from schemas.events import DataBatchReady
from schemas.evidence import Basis
from schemas.scores import BASE, Cost
from schemas.sources import DataRule
from services.data.job import Collecting, Sampled, Snapshot, SnapshotJob
from services.data.steps import QUEUE
from services.runtime.service import Failure, JobKind
from services.runtime.settings import Settings
from services.runtime.storage import artifacts
from services.runtime.substrate import base_folder

log = logging.getLogger(__name__)


def prepare(job: Job, settings: Settings) -> SnapshotJob:
    """The generator's argument."""
    given = {key: job.payload[key] for key in ("policy", "campaign", "round")}
    out = artifacts.join(settings.artifacts, "snapshots")
    made = SnapshotJob.model_validate(given | {"out": out})
    rule = made.campaign.constitution.data
    return made.model_copy(update={"collecting": _collecting(job, settings, rule)}) if rule else made


def _collecting(job: Job, settings: Settings, rule: DataRule) -> Collecting:
    """Where collecting goes on. Raises `JobFailed` where a source samples a base that is not the campaign's."""
    payload, substrate = job.payload, Substrate.model_validate(job.payload["substrate"])
    models = {spec.model for spec in rule.sources if spec.kind == "self"}
    sampled = None
    if models:
        sampled = Sampled(
            base=str(base_folder(substrate)),
            base_sha256=substrate.base_sha256,
            candidate=payload["standing"] if "standing" in models else BASE,
            adapter=payload["adapter"] if "standing" in models else None,
        )
    return Collecting(
        work=str(settings.work / "data" / job.campaign / str(payload["round"])),
        out=artifacts.join(settings.artifacts, "harvests"),
        copies=str(settings.copies),
        last=payload["last"],
        fingerprints=payload.get("fingerprints"),
        base=substrate.base_uri,
        sampled=sampled,
    )


def finished(job: Job, result: Snapshot) -> Effect:
    """The round's data exists; a round that has fallen back on older data meanwhile keeps that."""
    event = DataBatchReady(
        round=job.payload["round"],
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
        basis=Basis.model_validate(job.payload["basis"]),
    )
    return Effect((Append(job.campaign, job.key, event, expected=0),))


def failed(job: Job, failure: Failure) -> Effect:
    """Tried again until the data deadline; no event, since nobody decides on it."""
    log.error("the data of %s: %s: %s", job.key, failure.error, failure.message)
    return NOTHING


def pause(job: Job) -> timedelta:
    """A source that fails is left alone for longer and longer, up to a minute."""
    return timedelta(seconds=min(60, 2 ** min(job.attempt - 1, 6)))


SNAPSHOT = JobKind(
    queue=QUEUE,
    function="services.data.snapshot:make",
    prepare=prepare,
    finished=finished,
    failed=failed,
    pause=pause,
)
"""How the data service's worker does its work."""
