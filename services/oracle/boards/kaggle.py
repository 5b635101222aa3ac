"""A Kaggle competition's public leaderboard, through the official client.

Kaggle has no idempotency keys, so ours stands in the submission's description, and the list of submissions is searched
before anything is sent. Credentials are the client's own affair (`KAGGLE_API_TOKEN`, `~/.kaggle`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from requests import RequestException

from schemas.base import canonical_json
from schemas.targets import KaggleTarget
from services.oracle.boards.job import Query
from services.oracle.boards.query import BoardDenied, BoardGarbled, BoardRefused, BoardUnreachable, Standing
from services.oracle.boards.submission_zip import Limits

T = TypeVar("T")

NEWEST = 100
"""Submissions that are searched: more than a week of any daily limit known to us."""
STATES = {"PENDING": "waiting", "COMPLETE": "scored", "ERROR": "rejected"}
"""Kaggle's `SubmissionStatus` -> ours."""
KEPT = ("ref", "date", "status", "public_score", "description", "error_description", "file_name", "total_bytes")
"""What of a submission is kept as its receipt: neither the private score nor people's names."""


class ClientMissing(Exception):
    """The official client is not installed."""


class Client(Protocol):
    """What we need of `kaggle.api.kaggle_api_extended.KaggleApi`, with its signatures."""

    def competition_submissions(self, competition: str, *, page_size: int) -> list[Any] | None:
        """Submissions, the newest first."""

    def competition_get_submission_limits(self, competition_name: str) -> Any:
        """How many more are taken today."""

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
    except SystemExit:  # it prints its help and leaves
        raise BoardDenied("kaggle: no credentials; set KAGGLE_API_TOKEN, or write ~/.kaggle/access_token") from None
    return client  # type: ignore[no-any-return]


def read(key: str, raw: bytes) -> Standing:
    """What a submission, as it is kept, says of the query with this key. Raises `ValueError` or `KeyError`."""
    kept = json.loads(raw)
    number = float(kept["public_score"]) if kept["status"] == "COMPLETE" else None
    return Standing.model_validate({"key": key, "state": STATES.get(kept["status"]), "score": number, "raw": raw})


class KaggleBoard:
    """One competition."""

    rules = "Kaggle public leaderboard"

    def __init__(self, target: KaggleTarget, query: Query, client: Client) -> None:
        self.name = f"kaggle {target.competition}"
        self.limits = Limits(rank=target.max_rank, size=target.max_bytes)
        self.competition, self.client = target.competition, client
        self.about = f"{query.campaign} {query.candidate}"

    def find(self, key: str) -> Standing | None:
        """The submission whose description names our key."""
        listed = self._call(lambda: self.client.competition_submissions(self.competition, page_size=NEWEST))
        found = [submission for submission in listed or () if submission and key in submission.description.split()]
        return self._read(key, found[0]) if found else None

    def submit(self, key: str, package: Path) -> Standing:
        """Send a submission; with none left today it stays unsent and waits."""
        if not self._room():
            return Standing(key=key, state="waiting")
        message = f"aevolve {key} {self.about}"
        sent = self._call(lambda: self.client.competition_submit(str(package), message, self.competition, quiet=True))
        if not sent.ref:
            raise BoardUnreachable(f"{self.name}: the upload failed; see the oracle's log")
        return Standing(key=key, state="waiting")

    def _room(self) -> bool:
        limits = self._call(lambda: self.client.competition_get_submission_limits(self.competition))
        if not limits.num_allowed_now and not limits.num_total:
            raise BoardDenied(f"{self.name}: no submission is allowed; join the competition and accept its rules")
        return bool(limits.num_allowed_now)

    def _read(self, key: str, submission: Any) -> Standing:
        status = submission.status.name
        kept = {name: str(getattr(submission, name)) for name in KEPT}
        try:
            return read(key, f"{canonical_json({**kept, 'status': status})}\n".encode())
        except ValueError:
            words = f"{self.name}: submission {submission.ref} is {status} without a score that is a number"
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
            return BoardRefused(f"{self.name} answered {status}; see target.competition, and that it still takes any")
        return BoardUnreachable(f"{self.name} does not answer ({status or type(error).__name__}); see that it is well")
