"""A board over HTTP: one resource per submission, named by the query's key (`docs/guides/boards.md`).

`PUT` of the same key and bytes is the same submission, so a lost answer is requested again and never paid for twice.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Iterator, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from schemas.targets import BoardTarget
from services.oracle.boards.board import (
    BoardDenied,
    BoardGarbled,
    BoardRefused,
    BoardUnreachable,
    Query,
    SubmissionStatus,
)
from services.oracle.boards.submission_zip import Limits
from services.runtime import http_client

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 30.0
"""A board must answer within this time after a request is sent."""
LONGEST_ANSWER = 2**20
"""Bytes; a longer answer does not follow the protocol."""
LATER = (408, 425, 429)
"""Statuses below 500 that permit another try."""


class HttpBoard:
    """A board that speaks the protocol, version 1."""

    rules = "board protocol 1"
    limits = Limits()

    def __init__(self, query: Query, target: BoardTarget) -> None:
        self.name = f"board {target.url}"
        self.place = f"{target.url.rstrip('/')}/v1/submissions"
        self.headers = {"Accept": "application/json", "Aevolve-Protocol": "1"}
        self.about = {"Aevolve-Campaign": query.campaign, "Aevolve-Candidate": query.candidate}
        if token := token_for(target.url, query.token_file):
            self.headers["Authorization"] = f"Bearer {token}"

    def find(self, key: str) -> SubmissionStatus | None:
        """Status of the submission with this key; None if the board has none."""
        answer = self._send("GET", key, self.headers)
        return None if answer.status == HTTPStatus.NOT_FOUND else self._read(key, answer)

    def submit(self, key: str, package: Path) -> SubmissionStatus:
        """Upload a submission."""
        with package.open("rb") as file:
            sha256 = base64.b64encode(hashlib.file_digest(file, "sha256").digest()).decode()
            file.seek(0)
            sent = {
                "Content-Type": "application/zip",
                "Content-Length": str(package.stat().st_size),
                "Content-Digest": f"sha-256=:{sha256}:",
            }
            chunks = iter(partial(file.read, 2**16), b"")
            return self._read(key, self._send("PUT", key, {**self.headers, **self.about, **sent}, chunks))

    def _send(
        self, method: str, key: str, headers: Mapping[str, str], content: Iterator[bytes] | None = None
    ) -> http_client.Answer:
        try:
            return http_client.send(
                method,
                f"{self.place}/{key}",
                headers,
                content,
                seconds=DEADLINE_SECONDS,
                most_bytes=LONGEST_ANSWER + 1,
                use_proxy=True,
            )
        except http_client.NoAnswer as error:
            raise BoardUnreachable(
                f"{self.name} does not answer ({error}); check that it runs and that target.url is correct"
            ) from error

    def _read(self, key: str, answer: http_client.Answer) -> SubmissionStatus:
        if answer.status not in (200, 201, 202):
            log.warning("%s answered %d: %s", self.name, answer.status, answer.body[:500])
            raise self._failure(answer.status)
        try:
            status = SubmissionStatus.model_validate_json(answer.body)
        except ValidationError as error:
            log.warning("%s: %s", self.name, answer.body[:500])
            field = ".".join(map(str, error.errors()[0]["loc"])) or "the whole body"
            raise BoardGarbled(
                f"{self.name}: {field} of its answer breaks docs/guides/boards.md; check that target.url is a board"
            ) from error
        if status.key != key:
            raise BoardGarbled(f"{self.name} answered about another submission than {key}; report it to its operator")
        return status.model_copy(update={"raw": answer.body})

    def _failure(self, status: int) -> Exception:
        what = f"{self.name} answered {status}"
        if status in (401, 403):
            return BoardDenied(f"{what}; correct its line in the file of AEVOLVE_BOARD_TOKEN_FILE")
        if status >= 500 or status in LATER:
            return BoardUnreachable(f"{what}; check that it runs")
        return BoardRefused(f"{what}: it does not accept this submission; its answer is in the oracle's log")


def open_board(query: Query) -> HttpBoard:
    """The board of a query."""
    assert isinstance(query.target, BoardTarget)
    return HttpBoard(query, query.target)


def read(key: str, raw: bytes) -> SubmissionStatus:
    """A recorded answer. Raises `ValueError`."""
    return SubmissionStatus.model_validate_json(raw)


def token_for(url: str, file: str | None) -> str | None:
    """The board's token, if the file has one. Raises `BoardDenied` if it would be sent unencrypted."""
    if file is None:
        return None
    try:
        lines = [line.split() for line in Path(file).read_text().splitlines()]
    except OSError as error:
        raise BoardDenied(f"AEVOLVE_BOARD_TOKEN_FILE: {file} cannot be read; give a file of lines URL TOKEN") from error
    tokens = {line[0].rstrip("/"): line[1] for line in lines if len(line) == 2}
    token = tokens.get(url.rstrip("/"))
    place = urlsplit(url)
    if token and place.scheme != "https" and place.hostname not in http_client.LOOPBACK:
        raise BoardDenied(f"AEVOLVE_BOARD_TOKEN_FILE: a token for {url} would be sent unencrypted; use https")
    return token
