"""Web pages: a round fetches what its pages, feeds and sitemaps name and no earlier round has fetched.

Single pages and listings are requested every round, with the validators of the last answer; the pages of a listing only
until they are fetched, refused for good, or reported as changed. The validators of a listing are stored only once all
its pages are settled, so "not modified" always means "nothing new".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from schemas.rows import Row
from schemas.sources import WebSource
from services.data.sources.rows import Provenance, now, plain, sha256
from services.data.sources.source import Refused, RoundContext, SourceFailed, State, Step, skipped
from services.data.sources.web import listings
from services.data.sources.web.fetch import TRANSIENT, Fetcher, Pace, Page, Robots, address, host
from services.data.sources.web.listings import Link, Listing
from services.data.sources.web.text import read

TRIES = 3
"""Rounds that request a page of a listing which its server fails to deliver."""

LISTINGS = 1_000
"""Maximum feeds and sitemaps requested in a round."""

NOT_REQUESTED = frozenset({"robots", "robots_unreachable", "crawl_delay", "host_failing"})
"""Reasons for which a page was not requested at all."""

RETRIED = TRANSIENT | NOT_REQUESTED
"""Reasons for which a later round tries again."""


class Web:
    """A source of web pages. State: `page URL`, `list URL`, and the number of pages requested in this round."""

    def __init__(self, spec: WebSource, context: RoundContext, pace: Pace | None = None) -> None:
        self.name = spec.name
        self._spec = spec
        self._round = context.round
        self._pace = pace or Pace(spec.per_second)

    def harvest(self, state: State) -> Iterator[Step]:
        """A step for each requested page or listing. Raises `SourceFailed` for an invalid address."""
        with Fetcher(self._spec, self._pace) as fetcher:
            yield from _Round(self._spec, self._round, fetcher, state).steps()


class _Round:
    """One harvest."""

    def __init__(self, spec: WebSource, round_: int, fetcher: Fetcher, state: State) -> None:
        self._spec = spec
        self._round = round_
        self._fetcher = fetcher
        self._robots = Robots(fetcher)
        self._state = state
        self._listed: list[tuple[str, Page, Listing]] = []

    def steps(self) -> Iterator[Step]:
        yield from self._read_listings()
        single = {url: Link(url) for url in self._addresses("pages")}
        linked = {link.url: link for _, _, listing in self._listed if listing.kind != "index" for link in listing.links}
        due = [link for link in {**linked, **single}.values() if self._is_due(link, always=link.url in single)]
        for link in _interleaved(due):
            if self._requested() >= self._spec.pages_per_round:
                break
            yield self._page(link)
        yield from self._settle_listings()

    def _addresses(self, field: str) -> list[str]:
        """Addresses of a field of the campaign file. Raises `SourceFailed` for an invalid one."""
        addresses = []
        for url in getattr(self._spec, field):
            try:
                addresses.append(address(url))
            except Refused as refusal:
                raise SourceFailed(
                    f"data.sources: {self._spec.name}: {field}: {url!r} is no web address; correct it"
                ) from refusal
        return addresses

    # The listings.

    def _read_listings(self) -> Iterator[Step]:
        listed = dict.fromkeys(self._addresses("feeds") + self._addresses("sitemaps"))
        requested: set[str] = set()
        while rest := [url for url in listed if url not in requested]:
            for url in rest[: LISTINGS - len(requested)]:
                yield from self._listing(url)
                requested.add(url)
            if len(requested) == LISTINGS:
                break
            indices = (listing for _, _, listing in self._listed if listing.kind == "index")
            listed |= {link.url: None for index in indices for link in index.links}
        if over := len(listed) - len(requested):
            yield Step(skipped={"listings": over})

    def _listing(self, url: str) -> Iterator[Step]:
        try:
            page = self._get(url, self._state.get(f"list {url}", {}))
            if page.status == HTTPStatus.NOT_MODIFIED:
                return
            listing = listings.read(page.body, page.url, self._spec.max_bytes)
        except Refused as refusal:
            yield skipped(f"listing_{refusal.reason}", url)
            return
        self._listed.append((url, page, listing))
        if listing.bad:
            yield skipped("bad_link", url, count=listing.bad)

    def _settle_listings(self) -> Iterator[Step]:
        """Store the validators of listings without a page left; never of an index, whose sitemaps change without it."""
        done = {
            f"list {url}": page.validators
            for url, page, listing in self._listed
            if listing.kind != "index" and not any(self._is_left(link) for link in listing.links)
        }
        if changed := {key: value for key, value in done.items() if self._state.get(key) != value}:
            yield Step(remember=changed)

    # The pages.

    def _stored(self, url: str) -> Mapping[str, Any]:
        stored: Mapping[str, Any] = self._state.get(f"page {url}", {})
        return stored

    def _is_due(self, link: Link, *, always: bool) -> bool:
        return self._stored(link.url).get("round") != self._round and (always or self._is_left(link))

    def _is_left(self, link: Link) -> bool:
        """Whether a listing's page is still to be fetched: new, changed, or failed for a transient reason."""
        stored = self._stored(link.url)
        if not stored or stored.get("changed", "") != link.changed:
            return True
        return stored.get("reason") in RETRIED and stored.get("tries", 0) < TRIES

    def _requested(self) -> int:
        count = self._state.get("asked", {})
        return int(count["pages"]) if count.get("round") == self._round else 0

    def _page(self, link: Link) -> Step:
        """Request a page; any outcome is stored, so the round does not request it again."""
        before = {key: self._stored(link.url).get(key) for key in ("etag", "last-modified", "sha256", "tries")}
        about = {key: value for key, value in before.items() if value}
        rows: tuple[Row, ...] = ()
        reason = ""
        try:
            page = self._get(link.url, about)
            if page.status != HTTPStatus.NOT_MODIFIED:
                last, about = about.get("sha256"), {"sha256": sha256(page.body), **page.validators}
                rows = self._rows(page, about["sha256"]) if about["sha256"] != last else ()
        except Refused as refusal:
            reason = refusal.reason
            about["tries"] = about.get("tries", 0) + (reason in TRANSIENT)
        about |= {"round": self._round, "changed": link.changed, "reason": reason}
        count = {"round": self._round, "pages": self._requested() + (reason not in NOT_REQUESTED)}
        stored = {key: value for key, value in about.items() if value}
        remember = {f"page {link.url}": stored, "asked": count}
        return skipped(reason, link.url, remember) if reason else Step(rows, remember)

    def _rows(self, page: Page, digest: str) -> tuple[Row, ...]:
        text, licence = read(page.body, page.headers.get("content-type", ""))
        return (plain(self._spec, text, Provenance(page.url, digest, now(), licence)),)

    def _get(self, url: str, validators: Mapping[str, Any]) -> Page:
        """A page, unless its host has failed too often; the outcome is counted for the host."""
        if self._fetcher.pace.closed(host(url)):
            raise Refused("host_failing")
        try:
            page = self._fetcher.get(url, self._robots.check, validators)
        except Refused as refusal:
            if refusal.reason not in NOT_REQUESTED:
                self._fetcher.pace.record(host(url), success=refusal.reason not in TRANSIENT)
            raise
        self._fetcher.pace.record(host(url), success=True)
        return page


def _interleaved(links: Iterable[Link]) -> Iterator[Link]:
    """One link of each host in turn, so that the wait for one host is used for the others."""
    queues: dict[str, list[Link]] = {}
    for link in links:
        queues.setdefault(host(link.url), []).append(link)
    for i in range(max(map(len, queues.values()), default=0)):
        yield from (queue[i] for queue in queues.values() if i < len(queue))
