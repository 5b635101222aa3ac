"""A query of a target outside, as the log sees it: sent once, asked about until the score is there.

The query waits in a queue of its own and holds no worker in between. What follows from the score, and whether it came
in time, is decided by whoever reads the log.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from eventstore.effect import Effect
from eventstore.store import Job
from schemas.base import Frozen, Name, Sha256, digest
from schemas.campaign import Campaign
from schemas.events import ScoresReported
from schemas.scores import Cost, Kind, Receipt, Scores, Stamp
from schemas.targets import BoardTarget, KaggleTarget
from services.oracle.score_job import append, failed
from services.oracle.steps import BOARD_QUEUE
from services.runtime.service import JobKind
from services.runtime.settings import Settings
from services.runtime.storage import artifacts

LONGEST_PAUSE = timedelta(hours=1)
"""Between two tries against a board that does not answer."""


class Query(Frozen):
    """One candidate to be measured by one target."""

    target: BoardTarget | KaggleTarget = Field(discriminator="kind")
    """Who is asked."""
    key: str
    """The same for the same question at every try: what a board has under this key is never sent again."""
    campaign: Name
    """Campaign id."""
    candidate: Name
    """Candidate id, or `base`."""
    domains: tuple[Name, ...]
    """The campaign's domains; what a board tells of others is not recorded."""
    adapter: str | None
    """Folder of the candidate's adapter; None for the base, which enters with one that changes nothing."""
    sha256: Sha256 | None
    """Hash of the adapter, as recorded."""
    base: str
    """Folder of the base model; it is read for the shapes of its weights alone."""
    module: str
    """A module of the base that can bear an adapter."""
    token_file: str | None
    """`AEVOLVE_BOARD_TOKEN_FILE`."""
    work: str
    """Folder for what is being sent."""
    out: str
    """Folder of receipts."""
    copies: str
    """Folder of copies of what lies in a store of objects."""


class Answer(Frozen):
    """A target's score of a candidate."""

    scores: Scores
    """On [0, 1]."""
    receipt: Receipt
    """The answer as it came."""
    stamp: Stamp
    """Who gave it."""
    seconds: float = Field(ge=0.0)
    """Wall time of the last question."""


def key_of(campaign: str, candidate: str, kind: Kind) -> str:
    """The idempotency key of a query: 32 hexadecimal digits."""
    return digest([campaign, candidate, kind])[:32]


def prepare(job: Job, settings: Settings) -> Query:
    """The query; nothing is read here, since most tries only ask."""
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
    at_once=2,  # one may be uploading; the others ask for a moment each
    pause=pause,
    remedy="ask whoever runs the board, or raise target.give_up_seconds",
)
"""How the oracle asks a target outside."""
