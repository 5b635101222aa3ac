"""The question to the advisor as the log sees it: it ends with one event, whatever becomes of it."""

from __future__ import annotations

from eventstore.effect import NOTHING, Append, Effect
from eventstore.store import Job
from schemas.advisor import AdvisorAnswered, AdvisorFailed
from schemas.evidence import Basis
from services.recipes.advisor import Answered, Question
from services.recipes.steps import QUEUE
from services.runtime.service import Failure, JobKind
from services.runtime.settings import Settings


def prepare(job: Job, settings: Settings) -> Question:
    """The question, with the installation's address and the file of its key."""
    payload = job.payload
    return Question(
        url=str(settings.advisor_url) if settings.advisor_url else None,
        key_file=settings.advisor_key_file,
        rule=payload["advisor"],
        seed=payload["basis"]["seed"],
        max_changes=payload["max_changes"],
        round=payload["round"],
        changes=payload["changes"],
        evidence=payload["evidence"],
    )


def finished(job: Job, result: Answered) -> Effect:
    """The advisor's word, recorded before anybody uses it."""
    event = AdvisorAnswered(
        round=job.payload["round"],
        model=result.model,
        proposals=result.proposals,
        words=result.words,
        answer=result.answer,
        basis=Basis.model_validate(job.payload["basis"]),
    )
    return Effect((Append(job.campaign, job.key, event, expected=0),))


def failed(job: Job, failure: Failure) -> Effect:
    """After the last try the round goes on without the advisor; those before it nobody decides on."""
    if not failure.terminal:
        return NOTHING
    seconds, message = job.payload["advisor"]["seconds"], failure.message
    if failure.error == "DeadlinePassed":
        message = f"no answer within {seconds:g} s; raise constitution.advisor.seconds, or ask a faster model"
    event = AdvisorFailed(round=job.payload["round"], error=failure.error, message=message)
    return Effect((Append(job.campaign, job.key, event),))


ADVICE = JobKind(
    queue=QUEUE,
    function="services.recipes.advisor:ask",
    prepare=prepare,
    finished=finished,
    failed=failed,
    permanent=frozenset({"AdvisorUnset", "AnswerUnusable", "DeadlinePassed"}),
    artifacts=False,
)
"""How the recipes service's worker does its work."""
