"""A board over HTTP: one resource per submission, named by our key (`docs/guides/boards.md`).

`PUT` of the same key and bytes is the same submission, so a lost answer is asked for again and never paid for twice.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import logging
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from schemas.targets import BoardTarget
from services.oracle.boards.job import Query
from services.oracle.boards.query import BoardDenied, BoardGarbled, BoardRefused, BoardUnreachable, Standing
from services.oracle.boards.submission_zip import Limits

log = logging.getLogger(__name__)

SILENCE_SECONDS = 30.0
"""A board that says nothing for so long does not answer."""
LONGEST_ANSWER = 2**20
"""Bytes of an answer; a longer one is no answer of this protocol."""
HOME = ("localhost", "127.0.0.1", "::1")
"""Hosts that a token may be sent to without TLS."""
LATER = (408, 425, 429)
"""Statuses below 500 that ask for another try."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to an address that nobody has named."""

    def redirect_request(self, *_: Any) -> None:
        """Leave it as the error that its status is."""


class HttpBoard:
    """A board that speaks the protocol, version 1."""

    rules = "board protocol 1"
    limits = Limits()

    def __init__(self, target: BoardTarget, query: Query) -> None:
        self.name = f"board {target.url}"
        self.place = f"{target.url.rstrip('/')}/v1/submissions"
        self.headers = {"Accept": "application/json", "Aevolve-Protocol": "1"}
        self.about = {"Aevolve-Campaign": query.campaign, "Aevolve-Candidate": query.candidate}
        if token := token_for(target.url, query.token_file):
            self.headers["Authorization"] = f"Bearer {token}"
        self.open = urllib.request.build_opener(_NoRedirect).open

    def find(self, key: str) -> Standing | None:
        """What the board says of the submission with this key; None where it has none."""
        status, raw = self._ask(urllib.request.Request(f"{self.place}/{key}", headers=self.headers))  # noqa: S310
        return None if status == http.client.NOT_FOUND else self._read(key, status, raw)

    def submit(self, key: str, package: Path) -> Standing:
        """Send a submission."""
        with package.open("rb") as file:
            headers = {**self.headers, **self.about, **_headers(package)}
            request = urllib.request.Request(f"{self.place}/{key}", file, headers, method="PUT")  # noqa: S310
            return self._read(key, *self._ask(request))

    def _ask(self, request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with self.open(request, timeout=SILENCE_SECONDS) as answer:
                return answer.status, answer.read(LONGEST_ANSWER + 1)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(LONGEST_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            said = getattr(error, "reason", error)
            words = (
                f"{self.name} does not answer ({type(said).__name__}); see that it runs and that target.url is right"
            )
            raise BoardUnreachable(words) from error

    def _read(self, key: str, status: int, raw: bytes) -> Standing:
        if status not in (200, 201, 202):
            log.warning("%s answered %d: %s", self.name, status, raw[:500])
            raise self._failure(status)
        try:
            standing = Standing.model_validate_json(raw)
        except ValidationError as error:
            log.warning("%s: %s", self.name, raw[:500])
            where = ".".join(map(str, error.errors()[0]["loc"])) or "the whole"
            words = f"{self.name}: {where} of its answer breaks docs/guides/boards.md; see that target.url is a board's"
            raise BoardGarbled(words) from error
        if standing.key != key:
            raise BoardGarbled(f"{self.name} answers of another submission than {key}; its operator must mend that")
        return standing.model_copy(update={"raw": raw})

    def _failure(self, status: int) -> Exception:
        said = f"{self.name} answered {status}"
        if status in (401, 403):
            return BoardDenied(f"{said}; correct its line in the file of AEVOLVE_BOARD_TOKEN_FILE")
        if status >= 500 or status in LATER:
            return BoardUnreachable(f"{said}; see that it is well")
        return BoardRefused(f"{said}: it takes no such submission; its words stand in the oracle's log")


def _headers(package: Path) -> dict[str, str]:
    with package.open("rb") as file:
        sha256 = base64.b64encode(hashlib.file_digest(file, "sha256").digest()).decode()
    size = str(package.stat().st_size)
    return {"Content-Type": "application/zip", "Content-Length": size, "Content-Digest": f"sha-256=:{sha256}:"}


def token_for(url: str, file: str | None) -> str | None:
    """The board's token, where the file has one. Raises `BoardDenied` for one that would travel in clear text."""
    if file is None:
        return None
    try:
        lines = [line.split() for line in Path(file).read_text().splitlines()]
    except OSError as error:
        raise BoardDenied(f"AEVOLVE_BOARD_TOKEN_FILE: {file} cannot be read; give a file of lines URL TOKEN") from error
    tokens = {line[0].rstrip("/"): line[1] for line in lines if len(line) == 2}
    token = tokens.get(url.rstrip("/"))
    place = urlsplit(url)
    if token and place.scheme != "https" and place.hostname not in HOME:
        raise BoardDenied(f"AEVOLVE_BOARD_TOKEN_FILE: a token for {url} would travel unencrypted; use https")
    return token
