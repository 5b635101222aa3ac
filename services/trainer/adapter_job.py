"""A training job as the log sees it: how it is prepared, begun, finished and failed."""

from __future__ import annotations

from eventstore.effect import Append, Effect
from eventstore.store import Job
from schemas.campaign import Model, Substrate
from schemas.events import CheckpointTrained, RecipeProposed, TrainingFailed, TrainingStarted
from schemas.scores import Cost
from services.runtime.service import Failure, JobKind
from services.runtime.settings import Settings
from services.runtime.storage import artifacts
from services.runtime.substrate import base_folder
from services.trainer.job import Trained, TrainingJob
from services.trainer.steps import QUEUE


def prepare(job: Job, settings: Settings) -> TrainingJob:
    """The training engine's argument."""
    proposed = _proposed(job)
    model = Model.model_validate(job.payload["model"])
    return TrainingJob(
        candidate=proposed.candidate,
        recipe=proposed.recipe,
        base=str(base_folder(Substrate.model_validate(job.payload["substrate"]))),
        snapshot=job.payload["snapshot_uri"],
        snapshot_sha256=job.payload["snapshot"],
        seed=proposed.seed,
        max_length=model.max_length,
        max_new_tokens=model.max_new_tokens,
        profile=model.profile,
        work=str(settings.work / "train" / job.campaign / proposed.candidate),
        # Each try has its own folder: one that lost its lease and does not know it yet cannot touch what the log names.
        out=artifacts.join(settings.artifacts, "adapters", job.campaign, proposed.candidate, str(job.attempt)),
        copies=str(settings.copies),
        rank_seconds=settings.rank_seconds,
    )


def started(job: Job, worker: str) -> tuple[Append, ...]:
    """Said in the transaction that takes the lease."""
    event = TrainingStarted(candidate=_proposed(job).candidate, attempt=job.attempt, worker=worker)
    return (_append(job, event),)


def finished(job: Job, result: Trained) -> Effect:
    """The adapter exists."""
    active = job.payload["substrate"]["active_parameters"]
    event = CheckpointTrained(
        candidate=result.candidate,
        attempt=job.attempt,
        uri=result.uri,
        sha256=result.sha256,
        coverage=result.coverage,
        loss=result.loss,
        form=result.form,
        reward=result.reward,
        cost=Cost(
            tokens=result.tokens,
            compute=float(result.tokens * active),
            seconds=round(result.seconds, 3),
            device_seconds=round(result.device_seconds, 3),
            lost_seconds=job.lost_seconds,
        ),
    )
    return Effect((_append(job, event),))


def failed(job: Job, failure: Failure) -> Effect:
    """The try gave no adapter; charged."""
    event = TrainingFailed(
        candidate=_proposed(job).candidate,
        attempt=max(job.attempt, 1),
        error=failure.error,
        message=failure.message,
        terminal=failure.terminal,
        cost=failure.cost,
    )
    return Effect((_append(job, event),))


def _append(job: Job, event: TrainingStarted | CheckpointTrained | TrainingFailed) -> Append:
    return Append(job.campaign, job.key, event)


def _proposed(job: Job) -> RecipeProposed:
    return RecipeProposed.model_validate(job.payload["proposed"])


REFUSED = frozenset(
    {
        "AdapterUnloadable",
        "ArtifactChanged",
        "BaseChanged",
        "BosMissing",
        "ChatTemplateMissing",
        "CodeChanged",
        "MemoryShort",
        "ModelMissing",
        "ModelUnsupported",
        "PickledWeights",
        "QuantizerMissing",
        "RecipeUnsupported",
        "RowsMissing",
        "RowsTooLong",
        "SequenceTooLong",
        "SnapshotMissing",
        "TargetModuleMissing",
        "TargetModulePartial",
    }
)
"""What is found before weights are loaded, and would be found again."""

ELSEWHERE = frozenset({"DevicesMissing", "DiskShort"})
"""What is found then, too, but may be otherwise on another host, or later."""

TRAINING = JobKind(
    queue=QUEUE,
    function="services.trainer.engine:train",
    prepare=prepare,
    started=started,
    finished=finished,
    failed=failed,
    permanent=REFUSED | {"AdapterUntrained", "DeadlinePassed", "OutOfMemory", "RewardsEqual", "RowsSeen"},
    uncharged=REFUSED | ELSEWHERE,
)
"""How the trainer's worker does its work."""
