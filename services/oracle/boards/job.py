"""Query of a board as a job: submitted once, polled until the board has a score.

The job waits in a queue of its own and occupies no worker between polls. Readers of the log decide what follows from
the score, and whether it came in time.
"""

from __future__ import annotations

from datetime import timedelta

from eventstore.effect import Effect
from eventstore.store import Job
from schemas.base import digest
from schemas.events import ScoresReported
from schemas.scores import Cost, Kind
from schemas.targets import Outside
from services.oracle.boards.board import Answer, Query
from services.oracle.orders import BOARD, BoardOrder
from services.oracle.score_job import append, failed
from services.oracle.steps import unreserved, works_of
from services.runtime.service import JobKind
from services.runtime.settings import Settings
from services.runtime.storage import artifacts

LONGEST_PAUSE = timedelta(hours=1)
"""Between two tries of a board that does not answer."""


def key_of(campaign: str, candidate: str, kind: Kind) -> str:
    """The idempotency key of a query: 32 hexadecimal digits."""
    return digest([campaign, candidate, kind])[:32]


def prepare(job: Job, settings: Settings) -> Query:
    """The query. No file is read here, since most tries only poll."""
    order = BoardOrder.model_validate(job.payload)
    (kind,), law = order.kinds, order.campaign.constitution
    assert isinstance(law.target, Outside)
    return Query(
        target=law.target,
        key=key_of(job.campaign, order.candidate, kind),
        campaign=job.campaign,
        candidate=order.candidate,
        domains=law.domains,
        adapter=order.checkpoint.uri if order.checkpoint else None,
        sha256=order.checkpoint.sha256 if order.checkpoint else None,
        base=order.substrate.base_uri,
        module=order.campaign.recipe.target_modules[0],
        token_file=str(settings.board_token_file) if settings.board_token_file else None,
        work=str(settings.work),
        out=artifacts.join(settings.artifacts, "receipts"),
        copies=str(settings.copies),
    )


def finished(job: Job, answer: Answer) -> Effect:
    """The score."""
    order = BoardOrder.model_validate(job.payload)
    score = ScoresReported(
        candidate=order.candidate,
        kind=order.kinds[0],
        scores=answer.scores,
        receipt=answer.receipt,
        stamp=answer.stamp,
        cost=Cost(seconds=round(answer.seconds, 3), lost_seconds=job.lost_seconds),
    )
    return Effect((append(job, order.candidate, score),))


def pause(job: Job) -> timedelta:
    """Doubles with every try, from the target's own pause to `LONGEST_PAUSE`."""
    target = BoardOrder.model_validate(job.payload).campaign.constitution.target
    assert isinstance(target, Outside)
    return min(LONGEST_PAUSE, timedelta(seconds=target.poll_seconds * 2 ** min(job.attempt - 1, 20)))


ASKING = JobKind(
    queue=BOARD,
    function="services.oracle.boards.ask:ask",
    order=BoardOrder,
    prepare=prepare,
    finished=finished,
    failed=failed,
    works_of=works_of,
    missing=unreserved,
    permanent=frozenset(
        {
            "AdapterChanged",
            "AdapterUnfit",
            "BoardRefused",
            "DeadlinePassed",
            "ScoreOutOfScale",
        }
    ),
    at_once=2,  # one may be uploading; the others only poll
    pause=pause,
    remedy="ask the board's operator, or raise target.give_up_seconds",
)
"""The jobs of the queue `board`."""
