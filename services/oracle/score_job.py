"""A measurement as the log sees it: one job measures one model on one set or several."""

from __future__ import annotations

from pathlib import Path

from eventstore.effect import Append, Effect
from eventstore.store import Job
from schemas.base import Frozen
from schemas.campaign import Campaign, Substrate
from schemas.envelope import candidate_stream
from schemas.events import CheckpointTrained, EvaluationFailed, ScoresReported
from schemas.scores import Cost, Kind
from services.oracle.job import Evaluated, EvaluationJob, Measured, SealedSet
from services.oracle.sets import nonce
from services.oracle.steps import QUEUE
from services.runtime.hashing import hash_folder
from services.runtime.jobs import JobFailed
from services.runtime.service import Failure, JobKind
from services.runtime.settings import Settings
from services.runtime.substrate import base_folder


def prepare(job: Job, settings: Settings) -> EvaluationJob:
    """The evaluation's argument. Raises `JobFailed` where the adapter is not the one that was trained."""
    if settings.oracle_key_file is None:
        raise JobFailed("KeyMissing", "AEVOLVE_ORACLE_KEY_FILE is not set; name a file with 16 random bytes or more")
    campaign = Campaign.model_validate(job.payload["campaign"])
    return EvaluationJob(
        candidate=job.payload["candidate"],
        base=str(base_folder(Substrate.model_validate(job.payload["substrate"]))),
        adapter=_adapter(job),
        sets=tuple(_sealed(campaign, kind, job.payload["round"]) for kind in job.payload["kinds"]),
        domains=campaign.constitution.domains,
        key_file=str(settings.oracle_key_file),
        max_length=campaign.model.max_length,
        max_new_tokens=campaign.model.max_new_tokens,
        out=str(Path(settings.artifacts) / "receipts"),
    )


def finished(job: Job, result: Evaluated) -> Effect:
    """One score per set."""
    return Effect(tuple(append(job, _scores(job, result.candidate, measured)) for measured in result.measured))


def failed(job: Job, failure: Failure) -> Effect:
    """No score of any set; the try is charged once."""
    kinds: list[Kind] = job.payload["kinds"]
    return Effect(
        tuple(
            append(
                job,
                EvaluationFailed(
                    candidate=job.payload["candidate"],
                    kind=kind,
                    attempt=max(job.attempt, 1),
                    error=failure.error,
                    message=failure.message,
                    terminal=failure.terminal,
                    cost=failure.cost if kind == kinds[0] else Cost(),
                ),
            )
            for kind in kinds
        )
    )


def _adapter(job: Job) -> str | None:
    if job.payload["checkpoint"] is None:
        return None
    trained = CheckpointTrained.model_validate(job.payload["checkpoint"])
    folder = Path(trained.uri)
    found = hash_folder(folder) if folder.is_dir() else "missing"
    if found != trained.sha256:
        message = f"adapter {trained.uri}: its hash is {found}, the trainer recorded {trained.sha256}; train it again"
        raise JobFailed("AdapterChanged", message)
    return trained.uri


def _sealed(campaign: Campaign, kind: Kind, round_: int) -> SealedSet:
    return SealedSet(kind=kind, spec=campaign.item_set(kind), nonce=nonce(campaign, kind, round_))


def _scores(job: Job, candidate: str, measured: Measured) -> ScoresReported:
    active = job.payload["substrate"]["active_parameters"]
    cost = Cost(
        tokens=measured.tokens,
        compute=float(measured.tokens * active),
        seconds=round(measured.seconds, 3),
        device_seconds=round(measured.device_seconds, 3),
    )
    return ScoresReported(
        candidate=candidate,
        kind=measured.kind,
        scores=measured.scores,
        receipt=measured.receipt,
        stamp=measured.stamp,
        cost=cost,
    )


def append(job: Job, event: Frozen) -> Append:
    """An event of the job's candidate."""
    return Append(job.campaign, candidate_stream(job.campaign, job.payload["candidate"]), event)


SCORING = JobKind(
    queue=QUEUE,
    function="services.oracle.evaluate:evaluate",
    prepare=prepare,
    finished=finished,
    failed=failed,
    permanent=frozenset(
        {
            "AdapterChanged",
            "AdapterMissing",
            "BaseChanged",
            "CodeChanged",
            "DeadlinePassed",
            "KeyMissing",
            "ModelMissing",
            "PromptTooLong",
        }
    ),
)
"""How the oracle's worker does its work."""
