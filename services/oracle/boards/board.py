"""What every board has: queries in, a submission's status out, and an exception class for each kind of failure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.base import Frozen, Name, Sha256
from schemas.scores import Receipt, Scores, Stamp
from schemas.targets import Outside
from services.oracle.boards.submission_zip import Limits


class BoardUnreachable(Exception):
    """The board does not answer or reports a temporary failure; retried after a pause."""


class BoardDenied(Exception):
    """The board rejects our credentials; retried after a pause, in which the operator may correct them."""


class BoardGarbled(Exception):
    """The answer does not follow the protocol; retried after a pause, since it may come from a proxy."""


class BoardRefused(Exception):
    """The board will never accept this submission."""


class ScoreOutOfScale(Exception):
    """The board's score lies outside the scale that the campaign states."""


class Query(Frozen):
    """One candidate to be measured by one board."""

    target: Outside
    """The board."""
    key: str
    """Idempotency key: the same for every try, so that the board receives the submission once."""
    campaign: Name
    """Campaign id."""
    candidate: Name
    """Candidate id, or `base`."""
    domains: tuple[Name, ...]
    """The campaign's domains; the board's scores of other domains are not recorded."""
    adapter: str | None
    """Folder of the candidate's adapter; None for the base, which is submitted as an adapter of zeros."""
    sha256: Sha256 | None
    """Recorded hash of the adapter."""
    base: str
    """Folder of the base model; only the shapes of its weights are read."""
    module: str
    """A module of the base that can carry an adapter."""
    token_file: str | None
    """`AEVOLVE_BOARD_TOKEN_FILE`."""
    work: str
    """Folder for temporary files of the upload."""
    out: str
    """Folder of receipts."""
    copies: str
    """Folder of copies of artifacts from an object store."""


class Answer(Frozen):
    """A board's score of a candidate."""

    scores: Scores
    """On [0, 1]."""
    receipt: Receipt
    """The answer as it came."""
    stamp: Stamp
    """Which board, by which rules."""
    seconds: float = Field(ge=0.0)
    """Wall time of the last request."""


class DomainPart(BaseModel):
    """A domain's score on the board's scale."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    score: float
    """Score."""
    se: Annotated[float, Field(gt=0.0)] | None = None
    """Its standard error; computed from `n` if missing."""
    n: int = Field(ge=1)
    """Items."""


class SubmissionStatus(BaseModel):
    """A board's answer about one submission; unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    protocol: Literal[1] = 1
    """Version of the protocol."""
    key: str
    """Idempotency key of the submission."""
    state: Literal["waiting", "scored", "rejected"]
    """Its state."""
    score: float | None = None
    """On the board's scale, once it is scored."""
    se: Annotated[float, Field(gt=0.0)] | None = None
    """Standard error on the board's scale; overrides the campaign's."""
    n: int | None = Field(None, ge=1)
    """Items behind the score; overrides the campaign's."""
    domains: dict[Name, DomainPart] = Field(default_factory=dict)
    """Scores per domain, if the board reports them."""
    metric: Name | None = None
    """Version of the board's metric: scores under different versions are never compared."""
    raw: bytes = Field(b"", exclude=True)
    """The answer as it came."""

    @model_validator(mode="after")
    def _scored_has_a_score(self) -> SubmissionStatus:
        if self.state == "scored" and self.score is None:
            raise ValueError("state is scored, and score is missing")
        return self


class Board(Protocol):
    """A target outside the oracle."""

    name: str
    """Name in the stamp."""
    rules: str
    """Protocol in the stamp."""
    limits: Limits
    """Largest submission that the board accepts."""

    def find(self, key: str) -> SubmissionStatus | None:
        """Status of the submission with this key; None if the board has none."""

    def submit(self, key: str, package: Path) -> SubmissionStatus:
        """Upload a submission; a board without free slots leaves it unsent and returns `waiting`."""
