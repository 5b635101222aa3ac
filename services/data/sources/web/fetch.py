"""One page of the web: asked politely, read to its end or refused, wherever its redirects lead.

httpcore2 does the protocol; it is what huggingface_hub's client stands on, and it lets us open its connections
(`guard`). A proxy named in the environment is not used, since behind one nobody knows which address is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self

import httpcore2
import httpx2

from schemas.sources import WebSource
from services.data.sources.refusal import Refused
from services.data.sources.web.inflate import plain, unpacked
from services.data.sources.web.pace import Pace
from services.data.sources.web.public_addresses import Guard

HOPS = 5
"""Redirects that are followed, as RFC 9309 wants for robots.txt."""

AGENT = "aevolve"
"""Our name in robots.txt."""

LONGEST = 2_048
"""Characters of an address, as sitemaps.org bounds them."""

PORTS = 65_535

REDIRECTS = (301, 302, 303, 307, 308)

BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)

TRANSIENT = frozenset({"timeout", "unreachable", "busy", "server_error", "broken"})
"""Reasons that may have gone by the next round."""


@dataclass(frozen=True)
class Page:
    """An answer."""

    url: str
    """Address in the end."""
    status: int
    """HTTP status: 200, or 304 where it has not changed."""
    headers: Mapping[str, str]
    """Headers, names in lower case."""
    body: bytes
    """Content, unpacked."""

    @property
    def validators(self) -> dict[str, str]:
        """What asks for this page again only if it has changed."""
        said = {key: self.headers.get(key, "") for key in ("etag", "last-modified")}
        return {key: value for key, value in said.items() if value.isascii() and value.isprintable() and value}


def address(text: str, base: str = "") -> str:
    """A link as an address that can be asked. Raises `Refused("bad_link")` where it is none of the web's."""
    text = text.strip()
    try:
        url = (httpx2.URL(base).join(text) if base else httpx2.URL(text)).copy_with(fragment=None)
    except (httpx2.InvalidURL, ValueError) as error:
        raise Refused("bad_link") from error
    of_the_web = url.scheme in ("http", "https") and url.host and not url.userinfo and 0 < (url.port or 80) <= PORTS
    if not text or len(str(url)) > LONGEST or not of_the_web:
        raise Refused("bad_link")
    return str(url)


class Fetcher:
    """Asks for pages, one at a time."""

    def __init__(self, spec: WebSource, pace: Pace) -> None:
        self.pace = pace
        self._spec = spec
        self._guard = Guard(private=spec.private)
        self._pool = httpcore2.ConnectionPool(network_backend=self._guard, max_connections=20, keepalive_expiry=60.0)
        told = "; ".join(word for word in (f"source {spec.name}", spec.contact) if word)
        self._agent = f"{AGENT}/{version('aevolve')} ({told})"

    def get(self, url: str, check: Callable[[str], None], known: Mapping[str, Any] | None = None) -> Page:
        """The page behind an address; `check` is asked about every address on the way and may raise `Refused`.

        `known` may hold the validators of an earlier answer. Raises `Refused`.
        """
        left = self._spec.timeout_seconds
        for _ in range(HOPS + 1):
            check(url)
            self.pace.wait(host(url))
            self._guard.allow(left)
            found = self._ask(url, known or {})
            if isinstance(found, Page):
                return found
            url, left = found, self._guard.left()
        raise Refused("redirects")

    def _ask(self, url: str, known: Mapping[str, Any]) -> Page | str:
        """The page, or the address that it redirects to."""
        try:
            with self._pool.stream("GET", _target(url), headers=self._headers(known)) as response:
                return self._answer(url, response)
        except httpcore2.TimeoutException as error:
            raise Refused("timeout") from error
        except httpcore2.NetworkError as error:
            raise Refused("unreachable") from error
        except httpcore2.ProtocolError as error:
            raise Refused("broken") from error

    def _headers(self, known: Mapping[str, Any]) -> dict[bytes | str, bytes | str]:
        said: dict[bytes | str, bytes | str] = {
            "user-agent": self._agent,
            "accept": "text/html, text/plain, */*;q=0.5",
            "accept-encoding": "gzip",
        }
        conditions = {"if-none-match": "etag", "if-modified-since": "last-modified"}
        return said | {header: known[key] for header, key in conditions.items() if key in known}

    def _answer(self, url: str, response: httpcore2.Response) -> Page | str:
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in response.headers}
        status = response.status
        if status in REDIRECTS and "location" in headers:
            return address(headers["location"], url)
        if status in BUSY:
            self.pace.hold(host(url), _seconds(headers.get("retry-after", "")))
            raise Refused("busy")
        if status == HTTPStatus.NOT_MODIFIED:
            return Page(url, status, headers, b"")
        if status != HTTPStatus.OK:
            raise Refused("server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "status")
        return Page(url, status, headers, self._body(headers.get("content-encoding", ""), response.iter_stream()))

    def _body(self, packing: str, chunks: Iterable[bytes]) -> bytes:
        if packing.lower() in ("gzip", "x-gzip", "deflate"):
            return unpacked(chunks, self._spec.max_bytes)
        if packing.lower() in ("", "identity"):
            return plain(chunks, self._spec.max_bytes)
        raise Refused("packing")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.close()


def host(url: str) -> str:
    """The host of an address."""
    return httpx2.URL(url).host


def _target(url: str) -> httpcore2.URL:
    parts = httpx2.URL(url)
    return httpcore2.URL(scheme=parts.raw_scheme, host=parts.raw_host, port=parts.port, target=parts.raw_path)


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
