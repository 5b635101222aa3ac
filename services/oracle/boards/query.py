"""Asks a target outside about one candidate: whether it knows the query, else submits it; and reads the answer.

Every try begins with the question, so a process that dies between sending and recording submits nothing twice.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from judgement.statistics import share_error
from schemas.base import Name, digest
from schemas.scores import DomainScore, Scores, Stamp
from schemas.targets import BoardTarget, Outside
from services.oracle import receipts
from services.oracle.adapters import adapter
from services.oracle.boards.job import Answer, Query
from services.oracle.boards.submission_zip import Limits, pack
from services.runtime.jobs.runner import Again

Error = Annotated[float, Field(gt=0.0)]


class BoardUnreachable(Exception):
    """The board does not answer, or says that it cannot now: tried again after a pause."""


class BoardDenied(Exception):
    """The board does not let us in: tried again after a pause, in which a person may mend it."""


class BoardGarbled(Exception):
    """The answer does not follow the protocol: tried again after a pause, since a proxy may stand in between."""


class BoardRefused(Exception):
    """The board will never take this submission."""


class ScoreOutOfScale(Exception):
    """The board's score does not lie on the scale that the campaign states."""


class Part(BaseModel):
    """A domain's score on the board's scale."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    score: float
    """Score."""
    se: Error | None = None
    """Its standard error; where it is missing, it follows from `n`."""
    n: int = Field(ge=1)
    """Items."""


class Standing(BaseModel):
    """What a board says of one submission; keys that we do not know are ignored."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    protocol: Literal[1] = 1
    """Version of the protocol."""
    key: str
    """Which submission."""
    state: Literal["waiting", "scored", "rejected"]
    """Where it stands."""
    score: float | None = None
    """On the board's scale, once it is scored."""
    se: Error | None = None
    """Standard error on the board's scale, where the board knows better than the campaign."""
    n: int | None = Field(None, ge=1)
    """Items behind the score, where the board knows better than the campaign."""
    domains: dict[Name, Part] = Field(default_factory=dict)
    """Scores per domain, where the board gives them."""
    metric: Name | None = None
    """Version of the board's metric: scores under different ones are never compared."""
    raw: bytes = Field(b"", exclude=True)
    """The answer as it came."""

    @model_validator(mode="after")
    def _scored_has_a_score(self) -> Standing:
        if self.state == "scored" and self.score is None:
            raise ValueError("state is scored, and score is missing")
        return self


class Board(Protocol):
    """A target outside."""

    name: str
    """Who answers, for the stamp."""
    rules: str
    """By which protocol, for the stamp."""
    limits: Limits
    """What it takes."""

    def find(self, key: str) -> Standing | None:
        """What the board says of the submission with this key; None where it has none."""

    def submit(self, key: str, package: Path) -> Standing:
        """Send a submission; a board that has no room for it now lets it wait unsent."""


def ask(query: Query, report: Callable[[dict[str, Any]], None]) -> Answer | Again:
    """The target's score, or when to ask again.

    Raises `BoardUnreachable`, `BoardDenied`, `BoardGarbled`, `BoardRefused`, `ScoreOutOfScale`, `AdapterChanged`
    or `AdapterUnfit`.
    """
    begun = time.monotonic()
    board = open_board(query)
    standing = board.find(query.key) or send(board, query)
    if standing.state == "waiting":
        return Again(query.target.poll_seconds)
    receipt = receipts.keep(standing.raw, query.out, ".json")
    if standing.state == "rejected":
        raise BoardRefused(f"{board.name} rejected {query.candidate}; its answer, with its reason, is {receipt.uri}")
    scores, stamp = scores_of(standing, query.target, query.domains), stamp_of(board, standing, query.target)
    return Answer(scores=scores, receipt=receipt, stamp=stamp, seconds=time.monotonic() - begun)


def open_board(query: Query) -> Board:
    """The target as we talk to it."""
    if isinstance(query.target, BoardTarget):
        from services.oracle.boards.http import HttpBoard  # noqa: PLC0415 - each kind of target is loaded when asked

        return HttpBoard(query.target, query)
    from services.oracle.boards.kaggle import KaggleBoard, open_client  # noqa: PLC0415

    return KaggleBoard(query.target, query, open_client())


def standing_of(raw: bytes, target: Outside) -> Standing:
    """What an answer that was kept says. Raises `ValueError` or `KeyError` where it is none."""
    if isinstance(target, BoardTarget):
        return Standing.model_validate_json(raw)
    from services.oracle.boards.kaggle import read  # noqa: PLC0415 - as in `open_board`

    return read("", raw)


def send(board: Board, query: Query) -> Standing:
    """Pack the candidate and submit it."""
    Path(query.work).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=query.work) as folder:
        trained = adapter(query.adapter, query.sha256, Path(query.copies))
        package = pack(trained, Path(query.base), query.module, board.limits, Path(folder))
        return board.submit(query.key, package)


def scores_of(standing: Standing, target: Outside, domains: Collection[str] = ()) -> Scores:
    """The board's answer on [0, 1]. Raises `ScoreOutOfScale`."""
    assert standing.score is not None
    width, share = target.highest - target.lowest, _share(standing.score, target)
    items = standing.n or target.items
    if standing.se or (target.se and not standing.n):
        se = (standing.se or target.se or 0.0) / width
    else:
        se = share_error(share, items or 1)
    parts = {name: _domain(part, target) for name, part in standing.domains.items() if name in domains}
    return Scores(score=share, se=se, n=items or 1, domains=parts)


def _domain(part: Part, target: Outside) -> DomainScore:
    share = _share(part.score, target)
    se = part.se / (target.highest - target.lowest) if part.se else share_error(share, part.n)
    return DomainScore(score=share, se=se, n=part.n)


def _share(score: float, target: Outside) -> float:
    if not target.lowest <= score <= target.highest:
        raise ScoreOutOfScale(
            f"score: {score:g} does not lie between target.lowest {target.lowest:g} and target.highest "
            f"{target.highest:g}; start a campaign with the board's own scale"
        )
    return (score - target.lowest) / (target.highest - target.lowest)


def stamp_of(board: Board, standing: Standing, target: Outside) -> Stamp:
    """Who measured, by which rules; the board keeps the rest to itself."""
    return Stamp(
        engine=board.name,
        harness=f"{board.rules}, metric {standing.metric}" if standing.metric else board.rules,
        max_new_tokens=0,
        max_length=0,
        template_sha256=digest(target),
        precision="not told",
    )
