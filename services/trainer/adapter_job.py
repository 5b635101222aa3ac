"""A training job and its events: how its argument is prepared, and what its start and end append to the log."""

from __future__ import annotations

from eventstore.effect import Append, Effect
from eventstore.store import Job
from schemas.events import CheckpointTrained, TrainingFailed, TrainingStarted
from schemas.scores import Cost
from services.runtime.service import Failure, JobKind
from services.runtime.settings import Settings
from services.runtime.storage import artifacts
from services.runtime.substrate import base_folder
from services.trainer.job import Trained, TrainingJob
from services.trainer.orders import QUEUE, TrainOrder
from services.trainer.steps import works_of


def prepare(job: Job, settings: Settings) -> TrainingJob:
    """The argument of `services.trainer.engine.train`. Raises as `base_folder` does."""
    order = TrainOrder.model_validate(job.payload)
    candidate = order.proposed.candidate
    return TrainingJob(
        candidate=candidate,
        recipe=order.proposed.recipe,
        base=str(base_folder(order.substrate)),
        snapshot=order.snapshot_uri,
        snapshot_sha256=order.snapshot,
        seed=order.proposed.seed,
        max_length=order.model.max_length,
        max_new_tokens=order.model.max_new_tokens,
        prompt=order.model.form,
        suites=order.suites,
        judges=order.judges,
        task_path=settings.task_path,
        work=str(settings.work / "train" / job.campaign / candidate),
        # A folder per try: a try that has lost its lease, and does not know yet, cannot touch what the log names.
        out=artifacts.join(settings.artifacts, "adapters", job.campaign, candidate, str(job.attempt)),
        copies=str(settings.copies),
        rank_seconds=settings.rank_seconds,
    )


def started(job: Job, worker: str) -> tuple[Append, ...]:
    """Appended in the transaction that takes the lease."""
    candidate = TrainOrder.model_validate(job.payload).proposed.candidate
    return (Append(job.campaign, job.key, TrainingStarted(candidate=candidate, attempt=job.attempt, worker=worker)),)


def finished(job: Job, result: Trained) -> Effect:
    """The candidate has a checkpoint."""
    active_parameters = TrainOrder.model_validate(job.payload).substrate.active_parameters
    event = CheckpointTrained(
        candidate=result.candidate,
        attempt=job.attempt,
        uri=result.uri,
        sha256=result.sha256,
        coverage=result.coverage,
        loss=result.loss,
        form=result.form,
        reward=result.reward,
        too_long=result.too_long_rows,
        unused=result.unused,
        cost=Cost(
            tokens=result.tokens,
            compute=float(result.tokens * active_parameters),
            seconds=round(result.seconds, 3),
            device_seconds=round(result.device_seconds, 3),
            lost_seconds=job.lost_seconds,
        ),
    )
    return Effect((Append(job.campaign, job.key, event),))


def failed(job: Job, failure: Failure) -> Effect:
    """The try ended without a checkpoint; charged. A job that no worker began fails in its first try."""
    event = TrainingFailed(
        candidate=TrainOrder.model_validate(job.payload).proposed.candidate,
        attempt=max(job.attempt, 1),
        error=failure.error,
        message=failure.message,
        terminal=failure.terminal,
        cost=failure.cost,
    )
    return Effect((Append(job.campaign, job.key, event),))


PREFLIGHT_PERMANENT = frozenset(
    {
        "AdapterUnloadable",
        "ArtifactChanged",
        "BaseChanged",
        "BosMissing",
        "ChatTemplateMissing",
        "CodeChanged",
        "EndTokenMissing",
        "ItemsChanged",
        "MemoryShort",
        "ModelDamaged",
        "ModelMissing",
        "ModelUnsupported",
        "OutputLayerTied",
        "PickledWeights",
        "QuantizerMissing",
        "RecipeUnsupported",
        "RowsMissing",
        "RowsTooLong",
        "SequenceTooLong",
        "SnapshotMissing",
        "SuiteRefused",
        "TargetModuleMissing",
        "TargetModulePartial",
    }
)
"""Failures before weights are loaded that every further try would repeat."""

PREFLIGHT_TRANSIENT = frozenset({"DevicesMissing", "DiskShort"})
"""Failures before weights are loaded that another host, or a later try, may not have."""

USER_CODE = frozenset({"ScoreInvalid", "UserCodeFailed"})
"""Failures of a user's scorer: the same answers would fail again, and nobody is charged for them."""

TRAINING = JobKind(
    queue=QUEUE,
    function="services.trainer.engine:train",
    order=TrainOrder,
    prepare=prepare,
    started=started,
    finished=finished,
    failed=failed,
    works_of=works_of,
    permanent=PREFLIGHT_PERMANENT
    | USER_CODE
    | {"AdapterUntrained", "DeadlinePassed", "LossNotFinite", "OutOfMemory", "RewardsEqual", "RowsSeen"},
    uncharged=PREFLIGHT_PERMANENT | PREFLIGHT_TRANSIENT | USER_CODE,
)
"""The trainer's only kind of job."""
