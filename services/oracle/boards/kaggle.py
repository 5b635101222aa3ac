"""A Kaggle competition's public leaderboard, through the official client.

Kaggle has no idempotency keys, so the submission's description holds ours, and the list of submissions is searched
before anything is sent. The client reads its credentials itself (`KAGGLE_API_TOKEN`, `~/.kaggle`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from requests import RequestException

from schemas.base import canonical_json
from schemas.targets import KaggleTarget
from services.oracle.boards.board import (
    BoardDenied,
    BoardGarbled,
    BoardRefused,
    BoardUnreachable,
    Query,
    SubmissionStatus,
)
from services.oracle.boards.submission_zip import Limits

T = TypeVar("T")

NEWEST = 100
"""Submissions that are searched: more than a week at any daily limit known to us."""
STATES = {"PENDING": "waiting", "COMPLETE": "scored", "ERROR": "rejected"}
"""Kaggle's `SubmissionStatus` -> ours."""
RECORDED = ("ref", "date", "status", "public_score", "description", "error_description", "file_name", "total_bytes")
"""Fields of a submission in its receipt: neither the private score nor people's names."""


class ClientMissing(Exception):
    """The official client is not installed."""


class Client(Protocol):
    """The part of `kaggle.api.kaggle_api_extended.KaggleApi` that is used."""

    def competition_submissions(self, competition: str, *, page_size: int) -> list[Any] | None:
        """Submissions, the newest first."""

    def competition_get_submission_limits(self, competition_name: str) -> Any:
        """Submissions left today and in all."""

    def competition_submit(self, file_name: str, message: str, competition: str, *, quiet: bool) -> Any:
        """Upload and submit a file."""


def open_client() -> Client:
    """The official client, logged in. Raises `ClientMissing` or `BoardDenied`."""
    try:
        from kaggle.api.kaggle_api_extended import KaggleApi  # noqa: PLC0415 - an extra
    except ImportError:
        raise ClientMissing("kaggle: the official client is not installed; pip install 'aevolve[kaggle]'") from None
    client = KaggleApi()
    try:
        client.authenticate()
    except SystemExit:  # it prints its help and exits
        raise BoardDenied("kaggle: no credentials; set KAGGLE_API_TOKEN, or write ~/.kaggle/access_token") from None
    return client  # type: ignore[no-any-return]


def open_board(query: Query) -> KaggleBoard:
    """The competition of a query."""
    assert isinstance(query.target, KaggleTarget)
    return KaggleBoard(query, query.target, open_client())


def read(key: str, raw: bytes) -> SubmissionStatus:
    """A recorded submission. Raises `ValueError` or `KeyError`."""
    record = json.loads(raw)
    score = float(record["public_score"]) if record["status"] == "COMPLETE" else None
    status = {"key": key, "state": STATES.get(record["status"]), "score": score, "raw": raw}
    return SubmissionStatus.model_validate(status)


class KaggleBoard:
    """One competition."""

    rules = "Kaggle public leaderboard"

    def __init__(self, query: Query, target: KaggleTarget, client: Client) -> None:
        self.name = f"kaggle {target.competition}"
        self.limits = Limits(rank=target.max_rank, size=target.max_bytes)
        self.competition, self.client = target.competition, client
        self.about = f"{query.campaign} {query.candidate}"

    def find(self, key: str) -> SubmissionStatus | None:
        """Status of the submission whose description holds the key."""
        newest = self._call(lambda: self.client.competition_submissions(self.competition, page_size=NEWEST))
        matches = [submission for submission in newest or () if submission and key in submission.description.split()]
        return self._read(key, matches[0]) if matches else None

    def submit(self, key: str, package: Path) -> SubmissionStatus:
        """Upload a submission; if none is left today it stays unsent and waits."""
        limits = self._call(lambda: self.client.competition_get_submission_limits(self.competition))
        if not limits.num_allowed_now and not limits.num_total:
            raise BoardDenied(f"{self.name}: no submission is allowed; join the competition and accept its rules")
        if not limits.num_allowed_now:
            return SubmissionStatus(key=key, state="waiting")
        message = f"aevolve {key} {self.about}"
        sent = self._call(lambda: self.client.competition_submit(str(package), message, self.competition, quiet=True))
        if not sent.ref:
            raise BoardUnreachable(f"{self.name}: the upload failed; see the oracle's log")
        return SubmissionStatus(key=key, state="waiting")

    def _read(self, key: str, submission: Any) -> SubmissionStatus:
        status = submission.status.name
        record = {name: str(getattr(submission, name)) for name in RECORDED}
        try:
            return read(key, f"{canonical_json({**record, 'status': status})}\n".encode())
        except ValueError:
            words = f"{self.name}: submission {submission.ref} is {status} and its score is not a number"
            raise BoardGarbled(f"{words}; look at it on Kaggle") from None

    def _call(self, request: Callable[[], T]) -> T:
        try:
            return request()
        except RequestException as error:
            raise self._failure(error) from error

    def _failure(self, error: RequestException) -> Exception:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            return BoardDenied(f"{self.name} answered {status}; correct the credentials and accept the rules on Kaggle")
        if status in (400, 404):
            return BoardRefused(f"{self.name} answered {status}; check target.competition and its end date")
        return BoardUnreachable(f"{self.name} does not answer ({status or type(error).__name__}); try again later")
