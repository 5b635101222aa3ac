"""A kind of job whose beginning, failures and end stand in one stream of the log."""

from __future__ import annotations

from eventstore.effect import Append, Effect
from eventstore.store import Job
from schemas.base import Frozen
from schemas.events import TrainingFailed, TrainingStarted
from schemas.recipe import Recipe
from services.runtime.service import Failure, JobKind
from tests.unit.loopworld import trained


class AnyOrder(Frozen):
    """The payload is `{}` in most tests."""


def kind(queue: str, function: str, argument: object) -> JobKind:
    """Runs one function of `tests.jobs_for_tests` on an argument."""
    return JobKind(
        queue=queue,
        function=f"tests.jobs_for_tests:{function}",
        order=AnyOrder,
        prepare=lambda job, settings: argument,
        started=lambda job, worker: [started_event(queue, job.attempt)],
        finished=lambda job, result: finished_event(queue),
        failed=failed_event,
    )


def started_event(stream: str, attempt: int) -> Append:
    return Append(stream.partition("/")[0], stream, TrainingStarted(candidate="c", attempt=attempt, worker="w"))


def finished_event(stream: str, expected: int | None = None) -> Effect:
    return Effect((Append(stream.partition("/")[0], stream, trained("c", Recipe()), expected),))


def failed_event(job: Job, failure: Failure) -> Effect:
    event = TrainingFailed(
        candidate="c",
        attempt=max(job.attempt, 1),
        error=failure.error,
        message=failure.message,
        terminal=failure.terminal,
        cost=failure.cost,
    )
    return Effect((Append(job.key.partition("/")[0], job.key, event),))
