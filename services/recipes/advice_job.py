"""The job that asks the advisor: from its order to the one event that ends it."""

from __future__ import annotations

from eventstore.effect import NOTHING, Append, Effect
from eventstore.store import Job
from schemas.advisor import AdvisorAnswered, AdvisorFailed
from schemas.scores import Cost
from services.recipes.advisor import Answered, Question
from services.recipes.orders import QUEUE, AdviceOrder
from services.recipes.steps import works_of
from services.runtime.service import Failure, JobKind
from services.runtime.settings import Settings


def prepare(job: Job, settings: Settings) -> Question:
    """The question, with the installation's address and the file of its key."""
    order = AdviceOrder.model_validate(job.payload)
    return Question(
        url=str(settings.advisor_url) if settings.advisor_url else None,
        key_file=settings.advisor_key_file,
        rule=order.advisor,
        seed=order.basis.seed,
        max_changes=order.max_changes,
        round=order.round,
        changes=order.changes,
        evidence=order.evidence,
    )


def finished(job: Job, result: Answered) -> Effect:
    """The advisor's answer, recorded before a decision uses it."""
    order = AdviceOrder.model_validate(job.payload)
    event = AdvisorAnswered(
        round=order.round,
        model=result.model,
        proposals=result.proposals,
        words=result.words,
        answer=result.answer,
        cost=Cost(seconds=round(result.seconds, 3), lost_seconds=job.lost_seconds),
        basis=order.basis,
    )
    return Effect((Append(job.campaign, job.key, event, expected=0),))


def failed(job: Job, failure: Failure) -> Effect:
    """After the last try the round goes on without the advisor; the next try's event charges earlier failures."""
    if not failure.terminal:
        return NOTHING
    order, message = AdviceOrder.model_validate(job.payload), failure.message
    if failure.error == "DeadlinePassed":
        message = (
            f"no answer within {order.advisor.seconds:g} s; raise constitution.advisor.seconds, or ask a faster model"
        )
    event = AdvisorFailed(round=order.round, error=failure.error, message=message, cost=failure.cost)
    return Effect((Append(job.campaign, job.key, event),))


ADVICE = JobKind(
    queue=QUEUE,
    function="services.recipes.advisor:ask",
    order=AdviceOrder,
    prepare=prepare,
    finished=finished,
    failed=failed,
    works_of=works_of,
    permanent=frozenset({"AdvisorUnset", "AnswerUnusable", "DeadlinePassed"}),
    artifacts=False,
)
"""The job of the recipes service's worker."""
