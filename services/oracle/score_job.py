"""Measurement as a job: one model is measured on one or more sets, and on the guards."""

from __future__ import annotations

from itertools import repeat
from typing import Any

from eventstore.effect import Append, Effect
from eventstore.store import Job
from schemas.base import Frozen
from schemas.campaign import Campaign
from schemas.envelope import candidate_stream
from schemas.events import EvaluationFailed, GuardsReported, GuardsUnmeasured, ScoresReported
from schemas.scores import BASE, Cost
from services.oracle.engines.registry import engine_kind
from services.oracle.job import (
    Evaluated,
    EvaluationJob,
    ListedSet,
    Measured,
    Reference,
    Result,
    SealedSet,
)
from services.oracle.orders import SCORE, ScoreOrder, measurement
from services.oracle.sets import sealed_set
from services.oracle.steps import unreserved, works_of
from services.runtime.jobs.runner import JobFailed
from services.runtime.service import Failure, JobKind
from services.runtime.settings import Settings
from services.runtime.storage import artifacts
from services.runtime.substrate import base_folder


def prepare(job: Job, settings: Settings) -> EvaluationJob:
    """The evaluation's argument. Raises `JobFailed` if the key or the engine is missing."""
    return evaluation_job(ScoreOrder.model_validate(job.payload), settings)


def evaluation_job(order: ScoreOrder, settings: Settings) -> EvaluationJob:
    """The evaluation job of an order; no other code derives jobs from orders."""
    if settings.oracle_key_file is None:
        raise JobFailed("KeyMissing", "AEVOLVE_ORACLE_KEY_FILE is not set; name a file with 16 random bytes or more")
    campaign, law = order.campaign, order.campaign.constitution
    base = base_folder(order.substrate)
    reference = order.reference
    return EvaluationJob(
        candidate=order.candidate,
        base=str(base),
        base_sha256=order.substrate.base_sha256,
        engine=engine_kind(settings.engine).prepare(base, order.substrate.base_sha256, campaign.model, settings),
        profile=campaign.model.profile,
        prompt=campaign.model.prompt,
        chat_lists=campaign.model.prompt is not None or bool(law.suites),
        suites=law.suites,
        oracle_items=settings.oracle_items,
        task_path=settings.task_path,
        adapter=order.checkpoint.uri if order.checkpoint else None,
        sha256=order.checkpoint.sha256 if order.checkpoint else None,
        sets=tuple(sealed_set(campaign, kind, order.round) for kind in order.kinds if kind not in law.lists),
        lists=tuple(ListedSet(kind=kind, tasks=law.lists[kind]) for kind in order.kinds if kind in law.lists),
        reference=Reference(stamp=reference.stamp, known=reference.known, dev=_dev(campaign)) if reference else None,
        guards=law.guards if order.guards else (),
        run_code=law.run_code,
        domains=law.domains,
        key_file=str(settings.oracle_key_file),
        max_length=campaign.model.max_length,
        max_new_tokens=campaign.model.max_new_tokens,
        out=artifacts.join(settings.artifacts, "receipts"),
        copies=str(settings.copies),
    )


def _dev(campaign: Campaign) -> SealedSet | ListedSet:
    listed = campaign.constitution.lists.get("dev")
    return ListedSet(kind="dev", tasks=listed) if listed else sealed_set(campaign, "dev", 0)


def finished(job: Job, result: Evaluated) -> Effect:
    """One score per set, and one report of all guards; the first one is charged the time that earlier attempts lost.

    The base's score under this host's stamp precedes the scores that are corrected by it.
    """
    order = ScoreOrder.model_validate(job.payload)
    events: list[Any] = [_scores(order, result.candidate, measured) for measured in result.measured]
    if guarded := result.guarded:
        events.append(
            GuardsReported(candidate=result.candidate, suites=guarded.suites, **_receipt_and_cost(order, guarded))
        )
    events[0] = events[0].model_copy(
        update={"cost": events[0].cost.model_copy(update={"lost_seconds": job.lost_seconds})}
    )
    appends = [append(job, order.candidate, event) for event in events]
    if result.reference:
        appends.insert(0, append(job, BASE, _scores(order, BASE, result.reference)))
    return Effect(tuple(appends))


def failed(job: Job, failure: Failure) -> Effect:
    """No score of any set or guard; the try is charged once. For jobs of the queues `score` and `board`."""
    order = measurement(job)
    about: dict[str, Any] = {
        "candidate": order.candidate,
        "attempt": max(job.attempt, 1),
        "error": failure.error,
        "message": failure.message,
        "terminal": failure.terminal,
    }
    costs = (failure.cost, *repeat(Cost(), len(order.kinds)))
    events: list[Frozen] = [
        EvaluationFailed(kind=kind, cost=cost, **about) for kind, cost in zip(order.kinds, costs, strict=False)
    ]
    if isinstance(order, ScoreOrder) and order.guards:
        events.append(GuardsUnmeasured(cost=costs[len(order.kinds)], **about))
    return Effect(tuple(append(job, order.candidate, event) for event in events))


def _scores(order: ScoreOrder, candidate: str, measured: Measured) -> ScoresReported:
    return ScoresReported(
        candidate=candidate, kind=measured.kind, scores=measured.scores, **_receipt_and_cost(order, measured)
    )


def _receipt_and_cost(order: ScoreOrder, result: Result) -> dict[str, Any]:
    cost = Cost(
        tokens=result.tokens,
        compute=float(result.tokens * order.substrate.active_parameters),
        seconds=round(result.seconds, 3),
        device_seconds=round(result.device_seconds, 3),
    )
    return {"receipt": result.receipt, "stamp": result.stamp, "cost": cost}


def append(job: Job, candidate: str, event: Frozen) -> Append:
    """An event of a candidate."""
    return Append(job.campaign, candidate_stream(job.campaign, candidate), event)


SCORING = JobKind(
    queue=SCORE,
    function="services.oracle.evaluate:evaluate",
    order=ScoreOrder,
    prepare=prepare,
    finished=finished,
    failed=failed,
    works_of=works_of,
    missing=unreserved,
    permanent=frozenset(
        {
            "AdapterChanged",
            "AdapterMissing",
            "AdapterRefused",
            "AdapterUnsafe",
            "BaseChanged",
            "ChatTemplateMissing",
            "CodeChanged",
            "CodeRefused",
            "CodeTaskUnknown",
            "DeadlinePassed",
            "EndTokenMissing",
            "EngineMismatched",
            "EngineMissing",
            "ItemsChanged",
            "KeyMissing",
            "ModelDamaged",
            "ModelMissing",
            "NothingScored",
            "PickledWeights",
            "PromptTooLong",
            "ScoreInvalid",
            "SetTooSmall",
            "SuiteRefused",
            "TaskRefused",
            "TokenizerUnfit",
            "UserCodeFailed",
        }
    ),
)
"""The jobs of the queue `score`."""
