"""Asks a board about one candidate: looks the submission up by its key, submits it if the board has none.

The query was charged before, when it was queued (`services.oracle.steps.charge_queries`).

Every try begins with the lookup, so a process that dies between upload and recording submits nothing twice.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from judgement.statistics import share_error
from schemas.base import digest
from schemas.scores import DomainScore, Scores, Stamp
from schemas.targets import BoardTarget, KaggleTarget, Outside
from services.oracle.adapters import adapter
from services.oracle.boards.board import Answer, Board, BoardRefused, Query, ScoreOutOfScale, SubmissionStatus
from services.oracle.boards.submission_zip import pack
from services.oracle.receipts import keep
from services.runtime.jobs.runner import Again

KINDS: dict[type[Outside], str] = {
    BoardTarget: "services.oracle.boards.http",
    KaggleTarget: "services.oracle.boards.kaggle",
}
"""Kind of target -> the module that implements it, a `BoardKind`; imported when a query needs it."""


class BoardKind(Protocol):
    """What such a module defines."""

    def open_board(self, query: Query) -> Board:
        """The query's board."""

    def read(self, key: str, raw: bytes) -> SubmissionStatus:
        """A recorded answer. Raises `ValueError` or `KeyError` for anything else."""


def board_kind(target: Outside) -> BoardKind:
    """The implementation of a target."""
    module: Any = import_module(KINDS[type(target)])
    return module  # type: ignore[no-any-return]  # a module with these two functions


def ask(query: Query, report: Callable[[dict[str, Any]], None]) -> Answer | Again:
    """The board's score, or when to ask again.

    Raises `BoardUnreachable`, `BoardDenied`, `BoardGarbled`, `BoardRefused`, `ScoreOutOfScale`, `AdapterChanged`
    or `AdapterUnfit`.
    """
    start = time.monotonic()
    board = board_kind(query.target).open_board(query)
    status = board.find(query.key) or _submit(board, query)
    if status.state == "waiting":
        return Again(query.target.poll_seconds)
    receipt = keep(status.raw, query.out, ".json")
    if status.state == "rejected":
        raise BoardRefused(f"{board.name} rejected {query.candidate}; the reason is in its answer, {receipt.uri}")
    return Answer(
        scores=scores_of(status, query.target, query.domains),
        receipt=receipt,
        stamp=_stamp(board, status, query.target),
        seconds=time.monotonic() - start,
    )


def _submit(board: Board, query: Query) -> SubmissionStatus:
    """Pack the candidate and upload it."""
    Path(query.work).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=query.work) as folder:
        trained = adapter(query.adapter, query.sha256, Path(query.copies))
        package = pack(trained, Path(query.base), query.module, board.limits, Path(folder))
        return board.submit(query.key, package)


def scores_of(status: SubmissionStatus, target: Outside, domains: Collection[str] = ()) -> Scores:
    """The board's answer on [0, 1]. Raises `ScoreOutOfScale`."""
    assert status.score is not None
    width, share = target.highest - target.lowest, _share(status.score, target)
    items = status.n or target.items
    if status.se or (target.se and not status.n):
        se = (status.se or target.se or 0.0) / width
    else:
        se = share_error(share, items or 1)
    parts = {}
    for name, part in status.domains.items():
        if name in domains:
            score = _share(part.score, target)
            parts[name] = DomainScore(
                score=score, se=part.se / width if part.se else share_error(score, part.n), n=part.n
            )
    return Scores(score=share, se=se, n=items or 1, domains=parts)


def _share(score: float, target: Outside) -> float:
    if not target.lowest <= score <= target.highest:
        raise ScoreOutOfScale(
            f"score: {score:g} is not between target.lowest {target.lowest:g} and target.highest "
            f"{target.highest:g}; start a campaign with the board's own scale"
        )
    return (score - target.lowest) / (target.highest - target.lowest)


def _stamp(board: Board, status: SubmissionStatus, target: Outside) -> Stamp:
    """Stamp of a board's score; token limits and precision are not known."""
    return Stamp(
        engine=board.name,
        harness=f"{board.rules}, metric {status.metric}" if status.metric else board.rules,
        max_new_tokens=0,
        max_length=0,
        template_sha256=digest(target),
        precision="not told",
    )
