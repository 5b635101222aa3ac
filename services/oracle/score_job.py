"""A measurement as the log sees it: one job measures one model on one set or several, and on the guards."""

from __future__ import annotations

from itertools import repeat
from typing import Any

from eventstore.effect import Append, Effect
from eventstore.store import Job
from schemas.base import Frozen
from schemas.campaign import Campaign, Substrate
from schemas.envelope import candidate_stream
from schemas.events import EvaluationFailed, GuardsReported, GuardsUnmeasured, ScoresReported
from schemas.scores import BASE, Cost, Kind
from services.oracle.engines.registry import engine_kind
from services.oracle.job import (
    Evaluated,
    EvaluationJob,
    Guarded,
    ListedSet,
    Measured,
    Reference,
    SealedSet,
    Taken,
)
from services.oracle.sets import nonce
from services.oracle.steps import QUEUE
from services.runtime.jobs.runner import JobFailed
from services.runtime.service import Failure, JobKind
from services.runtime.settings import Settings
from services.runtime.storage import artifacts
from services.runtime.substrate import base_folder


def prepare(job: Job, settings: Settings) -> EvaluationJob:
    """The evaluation's argument. Raises `JobFailed` where the key or the engine is missing."""
    if settings.oracle_key_file is None:
        raise JobFailed("KeyMissing", "AEVOLVE_ORACLE_KEY_FILE is not set; name a file with 16 random bytes or more")
    campaign = Campaign.model_validate(job.payload["campaign"])
    trained = job.payload["checkpoint"] or {}
    kinds, lists = job.payload["kinds"], campaign.constitution.lists
    substrate = Substrate.model_validate(job.payload["substrate"])
    base = base_folder(substrate)
    return EvaluationJob(
        candidate=job.payload["candidate"],
        base=str(base),
        base_sha256=substrate.base_sha256,
        engine=engine_kind(settings.engine).prepare(base, substrate.base_sha256, campaign.model, settings),
        profile=campaign.model.profile,
        adapter=trained.get("uri"),
        sha256=trained.get("sha256"),
        sets=tuple(_sealed(campaign, kind, job.payload["round"]) for kind in kinds if kind not in lists),
        lists=tuple(ListedSet(kind=kind, tasks=lists[kind]) for kind in kinds if kind in lists),
        reference=_reference(campaign, job.payload.get("reference")),
        guards=campaign.constitution.guards if job.payload.get("guards") else (),
        run_code=campaign.constitution.run_code,
        domains=campaign.constitution.domains,
        key_file=str(settings.oracle_key_file),
        max_length=campaign.model.max_length,
        max_new_tokens=campaign.model.max_new_tokens,
        out=artifacts.join(settings.artifacts, "receipts"),
        copies=str(settings.copies),
    )


def finished(job: Job, result: Evaluated) -> Effect:
    """One score per set, and one report of all guards; what earlier tries lost is charged with the first of them.

    The base's score under this host's stamp stands before those that are moved by it.
    """
    said: list[Any] = [_scores(job, result.candidate, measured) for measured in result.measured]
    if result.guarded:
        said.append(_guards(job, result.candidate, result.guarded))
    said[0] = said[0].model_copy(update={"cost": said[0].cost.model_copy(update={"lost_seconds": job.lost_seconds})})
    base = result.reference and _scores(job, BASE, result.reference)
    before = (Append(job.campaign, candidate_stream(job.campaign, BASE), base),) if base else ()
    return Effect((*before, *(append(job, event) for event in said)))


def failed(job: Job, failure: Failure) -> Effect:
    """No score of any set or guard; the try is charged once."""
    kinds: list[Kind] = job.payload["kinds"]
    about: dict[str, Any] = {
        "candidate": job.payload["candidate"],
        "attempt": max(job.attempt, 1),
        "error": failure.error,
        "message": failure.message,
        "terminal": failure.terminal,
    }
    costs = (failure.cost, *repeat(Cost(), len(kinds)))
    said: list[Frozen] = [
        EvaluationFailed(kind=kind, cost=cost, **about) for kind, cost in zip(kinds, costs, strict=False)
    ]
    if job.payload.get("guards"):
        said.append(GuardsUnmeasured(cost=costs[len(kinds)], **about))
    return Effect(tuple(append(job, event) for event in said))


def _sealed(campaign: Campaign, kind: Kind, round_: int) -> SealedSet:
    return SealedSet(kind=kind, spec=campaign.item_set(kind), nonce=nonce(campaign, kind, round_))


def _reference(campaign: Campaign, given: dict[str, Any] | None) -> Reference | None:
    return Reference.model_validate({**given, "dev": _sealed(campaign, "dev", 0)}) if given else None


def _scores(job: Job, candidate: str, measured: Measured) -> ScoresReported:
    return ScoresReported(candidate=candidate, kind=measured.kind, scores=measured.scores, **_taken(job, measured))


def _guards(job: Job, candidate: str, guarded: Guarded) -> GuardsReported:
    return GuardsReported(candidate=candidate, suites=guarded.suites, **_taken(job, guarded))


def _taken(job: Job, taken: Taken) -> dict[str, Any]:
    active = job.payload["substrate"]["active_parameters"]
    cost = Cost(
        tokens=taken.tokens,
        compute=float(taken.tokens * active),
        seconds=round(taken.seconds, 3),
        device_seconds=round(taken.device_seconds, 3),
    )
    return {"receipt": taken.receipt, "stamp": taken.stamp, "cost": cost}


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
            "AdapterRefused",
            "AdapterUnsafe",
            "BaseChanged",
            "ChatTemplateMissing",
            "CodeChanged",
            "CodeRefused",
            "CodeTaskUnknown",
            "DeadlinePassed",
            "EngineMismatched",
            "EngineMissing",
            "KeyMissing",
            "ModelMissing",
            "PickledWeights",
            "PromptTooLong",
            "TaskRefused",
            "TokenizerUnfit",
        }
    ),
)
"""How the oracle's worker does its work."""
