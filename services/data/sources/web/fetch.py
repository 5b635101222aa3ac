"""Fetches one web page politely: by the host's robots.txt and pace, across redirects, within a time and a size.

httpcore2 implements the protocol, and lets us open its connections (`public_addresses`). A proxy from the environment
is not used, since it would hide which address is contacted.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self

import httpcore2
import httpx2
from protego import Protego
from w3lib.encoding import read_bom

from schemas.sources import WebSource
from services.data.sources.source import Refused
from services.data.sources.web.inflate import decoded, plain
from services.data.sources.web.public_addresses import PublicBackend

HOPS = 5
"""Maximum redirects, as RFC 9309 requires for robots.txt."""

AGENT = "aevolve"
"""Our name in robots.txt."""

LONGEST_ADDRESS = 2_048
"""Maximum characters of an address, as in sitemaps.org."""

PORTS = 65_535

LONGEST_WAIT = 60.0
"""Maximum seconds between two requests to a host; a host that demands more is left out of the round."""

STRIKES = 3
"""Consecutive failures after which a host is left out of the round."""

AGENT_VERSION = re.compile(r"^([ \t]*user-?agent[ \t]*:[ \t]*[^\s/#*]+)[/ \t][^\r\n]*", re.IGNORECASE | re.MULTILINE)
"""What follows the name of an agent in a group of rules, such as `/1.0`; Protego takes it for a part of the name."""

ROBOTS_BYTES = 512_000
"""Bytes of a robots.txt that are read; RFC 9309 requires at least 500 KiB."""

REDIRECTS = (301, 302, 303, 307, 308)

BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)

TRANSIENT = frozenset({"timeout", "unreachable", "busy", "server_error", "broken"})
"""Reasons that may be gone by the next round."""


@dataclass(frozen=True)
class Page:
    """A response."""

    url: str
    """Address after redirects."""
    status: int
    """HTTP status: 200, or 304 for an unchanged page."""
    headers: Mapping[str, str]
    """Headers, names in lower case."""
    body: bytes
    """Content, decompressed."""

    @property
    def validators(self) -> dict[str, str]:
        """Headers for a conditional request of this page."""
        values = {key: self.headers.get(key, "") for key in ("etag", "last-modified")}
        return {key: value for key, value in values.items() if value.isascii() and value.isprintable() and value}


def address(text: str, base: str = "") -> str:
    """A link as an absolute address. Raises `Refused("bad_link")` if it is no web address."""
    text = text.strip()
    try:
        url = (httpx2.URL(base).join(text) if base else httpx2.URL(text)).copy_with(fragment=None)
    except (httpx2.InvalidURL, ValueError) as error:
        raise Refused("bad_link") from error
    is_web = url.scheme in ("http", "https") and url.host and not url.userinfo and 0 < (url.port or 80) <= PORTS
    if not text or len(str(url)) > LONGEST_ADDRESS or not is_web:
        raise Refused("bad_link")
    return str(url)


def host(url: str) -> str:
    """The host of an address."""
    return httpx2.URL(url).host


class Pace:
    """When each host may be requested again, by a monotonic clock."""

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = 1.0 / per_second
        self._strikes: Counter[str] = Counter()
        self._slower: dict[str, float] = {}
        self._next: dict[str, float] = {}
        self._clock = clock
        self._sleep = sleep

    def slow(self, host: str, seconds: float) -> None:
        """Raise the host's interval between two requests."""
        self._slower[host] = max(seconds, self._slower.get(host, 0.0))

    def hold(self, host: str, seconds: float) -> None:
        """Send the host no request for so long."""
        if seconds > LONGEST_WAIT:
            self._strikes[host] = STRIKES
        self._next[host] = max(self._next.get(host, 0.0), self._clock() + seconds)

    def record(self, host: str, *, success: bool) -> None:
        """Record the outcome of a request; only failures of the host itself count as such."""
        self._strikes[host] = 0 if success else self._strikes[host] + 1

    def closed(self, host: str) -> bool:
        """Whether the host is left out of the rest of the round."""
        return self._strikes[host] >= STRIKES

    def interval(self, host: str) -> float:
        """Seconds between two requests to the host."""
        return max(self._interval, self._slower.get(host, 0.0))

    def wait(self, host: str) -> None:
        """Sleep until the host may be requested, and count this as a request."""
        if (left := self._next.get(host, 0.0) - self._clock()) > 0:
            self._sleep(left)
        self._next[host] = self._clock() + self.interval(host)


class Fetcher:
    """Fetches pages, one at a time."""

    def __init__(self, spec: WebSource, pace: Pace) -> None:
        self.pace = pace
        self._spec = spec
        self._backend = PublicBackend(private=spec.private)
        self._pool = httpcore2.ConnectionPool(network_backend=self._backend, max_connections=20, keepalive_expiry=60.0)
        contact = "; ".join(part for part in (f"source {spec.name}", spec.contact) if part)
        self._agent = f"{AGENT}/{version('aevolve')} ({contact})"

    def get(self, url: str, check: Callable[[str], None], validators: Mapping[str, Any] | None = None) -> Page:
        """The page of an address; `check` gets every address on the way and may raise `Refused`.

        `validators` are the entity tag and the date of an earlier response, if there is one. Raises `Refused`.
        """
        left = self._spec.timeout_seconds
        for _ in range(HOPS + 1):
            check(url)
            self.pace.wait(host(url))
            self._backend.allow(left)
            result = self._request(url, validators or {})
            if isinstance(result, Page):
                return result
            url, left = result, self._backend.left()
        raise Refused("redirects")

    def _request(self, url: str, validators: Mapping[str, Any]) -> Page | str:
        """The page, or the address that it redirects to."""
        headers: dict[bytes | str, bytes | str] = {
            "user-agent": self._agent,
            "accept": "text/html, text/plain, */*;q=0.5",
            "accept-encoding": "gzip",
        }
        conditions = {"if-none-match": "etag", "if-modified-since": "last-modified"}
        headers |= {header: validators[key] for header, key in conditions.items() if key in validators}
        parts = httpx2.URL(url)
        target = httpcore2.URL(scheme=parts.raw_scheme, host=parts.raw_host, port=parts.port, target=parts.raw_path)
        try:
            with self._pool.stream("GET", target, headers=headers) as response:
                return self._read_response(url, response)
        except httpcore2.TimeoutException as error:
            raise Refused("timeout") from error
        except httpcore2.NetworkError as error:
            raise Refused("unreachable") from error
        except httpcore2.ProtocolError as error:
            raise Refused("broken") from error

    def _read_response(self, url: str, response: httpcore2.Response) -> Page | str:
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in response.headers}
        status = response.status
        if status in REDIRECTS and "location" in headers:
            return address(headers["location"], url)
        if status in BUSY:
            retry_after = headers.get("retry-after", "")
            is_number = retry_after.isascii() and retry_after.isdigit()
            self.pace.hold(host(url), float(retry_after) if is_number else 0.0)
            raise Refused("busy")
        if status == HTTPStatus.NOT_MODIFIED:
            return Page(url, status, headers, b"")
        if status != HTTPStatus.OK:
            raise Refused("server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "status")
        body = plain(response.iter_stream(), self._spec.max_bytes)
        return Page(url, status, headers, decoded(body, headers.get("content-encoding", ""), self._spec.max_bytes))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.close()


class Robots:
    """The robots.txt rules (RFC 9309) of a round's sites, fetched once a round for each site.

    Protego parses them: it knows wildcards, the longest matching rule and Crawl-delay, of which the standard library's
    parser (Python 3.11) knows only the last.
    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._rules: dict[str, Protego | None] = {}

    def check(self, url: str) -> None:
        """Raise `Refused` unless the site allows the address, with a delay that is worth waiting for."""
        site = str(httpx2.URL(url).join("/robots.txt"))
        if site not in self._rules:
            self._rules[site] = self._fetch(site)
        if (rules := self._rules[site]) is None:
            raise Refused("robots_unreachable")
        if not rules.can_fetch(url, AGENT):
            raise Refused("robots")
        rate = rules.request_rate(AGENT)
        delay = rate.seconds / rate.requests if rate and rate.requests else 0.0
        self._fetcher.pace.slow(host(url), max(rules.crawl_delay(AGENT) or 0.0, delay))
        if self._fetcher.pace.interval(host(url)) > LONGEST_WAIT:
            raise Refused("crawl_delay")

    def _fetch(self, site: str) -> Protego | None:
        """The site's rules: everything is allowed without such a file, nothing if it cannot be fetched."""
        try:
            page = self._fetcher.get(site, lambda _: None)
        except Refused as refusal:
            if refusal.reason == "private":
                raise
            return Protego.parse("") if refusal.reason == "status" else None
        return parsed(page.body[:ROBOTS_BYTES])


def parsed(body: bytes) -> Protego:
    """The rules of a robots.txt. A byte-order mark is no part of it (RFC 9309), nor is a version of an agent's name."""
    encoding, mark = read_bom(body)
    text = body[len(mark or b"") :].decode(encoding or "utf-8", errors="replace")
    return Protego.parse(AGENT_VERSION.sub(r"\1", text))
