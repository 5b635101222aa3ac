"""Query of a board as a job: submitted once, polled until the board has a score.

The job waits in a queue of its own and occupies no worker between polls. Readers of the log decide what follows from
the score, and whether it came in time.
"""

from __future__ import annotations

from datetime import timedelta

from eventstore.effect import Effect
from eventstore.store import Job
from schemas.base import digest
from schemas.campaign import Campaign
from schemas.events import ScoresReported
from schemas.scores import Cost, Kind
from services.oracle.boards.board import Answer, Query
from services.oracle.score_job import append, failed
from services.oracle.steps import BOARD_QUEUE
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
    campaign = Campaign.model_validate(job.payload["campaign"])
    trained = job.payload["checkpoint"] or {}
    candidate, (kind,) = job.payload["candidate"], job.payload["kinds"]
    return Query(
        target=campaign.constitution.target,
        key=key_of(job.campaign, candidate, kind),
        campaign=job.campaign,
        candidate=candidate,
        domains=campaign.constitution.domains,
        adapter=trained.get("uri"),
        sha256=trained.get("sha256"),
        base=job.payload["substrate"]["base_uri"],
        module=campaign.recipe.target_modules[0],
        token_file=str(settings.board_token_file) if settings.board_token_file else None,
        work=str(settings.work),
        out=artifacts.join(settings.artifacts, "receipts"),
        copies=str(settings.copies),
    )


def finished(job: Job, answer: Answer) -> Effect:
    """The score."""
    score = ScoresReported(
        candidate=job.payload["candidate"],
        kind=job.payload["kinds"][0],
        scores=answer.scores,
        receipt=answer.receipt,
        stamp=answer.stamp,
        cost=Cost(seconds=round(answer.seconds, 3), lost_seconds=job.lost_seconds),
    )
    return Effect((append(job, score),))


def pause(job: Job) -> timedelta:
    """Doubles with every try, from the target's own pause to `LONGEST_PAUSE`."""
    first = job.payload["campaign"]["constitution"]["target"]["poll_seconds"]
    return min(LONGEST_PAUSE, timedelta(seconds=first * 2 ** min(job.attempt - 1, 20)))


ASKING = JobKind(
    queue=BOARD_QUEUE,
    function="services.oracle.boards.query:ask",
    prepare=prepare,
    finished=finished,
    failed=failed,
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
