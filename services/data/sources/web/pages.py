"""Pages of the web, read once: a round asks for what its pages, feeds and sitemaps name and no earlier round has had.

Single pages and listings are asked for in every round, with the validators of the last answer; the pages of a listing
only until they are had, or refused for good, or said to have changed. The validators of a listing are remembered only
once nothing is left to be had from it, so "not modified" always means "nothing new".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from schemas.rows import Row
from schemas.sources import WebSource
from services.data.sources.refusal import Refused
from services.data.sources.rows import Found, now, plain, sha256
from services.data.sources.source import SourceFailed, State, Step
from services.data.sources.web import listings
from services.data.sources.web.fetch import TRANSIENT, Fetcher, Page, address, host
from services.data.sources.web.listings import Link, Listing
from services.data.sources.web.pace import Pace
from services.data.sources.web.robots import Robots
from services.data.sources.web.text import read

TRIES = 3
"""Rounds that ask for a page of a listing which its server fails to give."""

LISTINGS = 1_000
"""Feeds and sitemaps that a round asks for."""

NOT_ASKED = frozenset({"robots", "robots_unreachable", "crawl_delay", "host_failing"})
"""Reasons for which a page was not even asked for."""

AGAIN = TRANSIENT | NOT_ASKED
"""Reasons for which a later round looks again."""


class Web:
    """A source of web pages. State: `page URL`, `list URL`, and how many pages this round has asked for."""

    def __init__(self, spec: WebSource, round_: int, seed: int, pace: Pace | None = None) -> None:
        self.name = spec.name
        self._spec = spec
        self._round = round_
        self._pace = pace or Pace(spec.per_second)

    def harvest(self, state: State) -> Iterator[Step]:
        """A step for each page or listing that is asked for. Raises `SourceFailed` for what is no address."""
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
        yield from self._listings()
        single = {url: Link(url) for url in self._given("pages")}
        named = {link.url: link for _, _, listing in self._listed if listing.kind != "index" for link in listing.links}
        wanted = [link for link in {**named, **single}.values() if self._is_wanted(link, always=link.url in single)]
        for link in _in_turn(wanted):
            if self._asked() >= self._spec.pages_per_round:
                break
            yield self._page(link)
        yield from self._complete()

    def _given(self, field: str) -> list[str]:
        """Addresses of the campaign file. Raises `SourceFailed` for one that is none."""
        found = []
        for url in getattr(self._spec, field):
            try:
                found.append(address(url))
            except Refused as refusal:
                told = f"data.sources: {self._spec.name}: {field}: {url!r} is no address of the web"
                raise SourceFailed(f"{told}; correct it") from refusal
        return found

    # The listings.

    def _listings(self) -> Iterator[Step]:
        waiting = dict.fromkeys(self._given("feeds") + self._given("sitemaps"))
        asked: set[str] = set()
        while left := [url for url in waiting if url not in asked]:
            for url in left[: LISTINGS - len(asked)]:
                yield from self._listing(url)
                asked.add(url)
            if len(asked) == LISTINGS:
                break
            indices = (listing for _, _, listing in self._listed if listing.kind == "index")
            waiting |= {link.url: None for index in indices for link in index.links}
        if over := len(waiting) - len(asked):
            yield Step(skipped={"listings": over})

    def _listing(self, url: str) -> Iterator[Step]:
        try:
            page = self._get(url, self._state.get(f"list {url}", {}))
            if page.status == HTTPStatus.NOT_MODIFIED:
                return
            listing = listings.read(page.body, page.url, self._spec.max_bytes)
        except Refused as refusal:
            yield Step(skipped={f"listing_{refusal.reason}": 1})
            return
        self._listed.append((url, page, listing))
        if listing.bad:
            yield Step(skipped={"bad_link": listing.bad})

    def _complete(self) -> Iterator[Step]:
        """Remember the listings that have nothing left; an index never, since its sitemaps change without it."""
        done = {
            f"list {url}": page.validators
            for url, page, listing in self._listed
            if listing.kind != "index" and not any(self._is_left(link) for link in listing.links)
        }
        if changed := {key: value for key, value in done.items() if self._state.get(key) != value}:
            yield Step(remember=changed)

    # The pages.

    def _known(self, url: str) -> Mapping[str, Any]:
        known: Mapping[str, Any] = self._state.get(f"page {url}", {})
        return known

    def _is_wanted(self, link: Link, *, always: bool) -> bool:
        return self._known(link.url).get("round") != self._round and (always or self._is_left(link))

    def _is_left(self, link: Link) -> bool:
        """Whether a listing's page is still to be had: new, changed, or not given so far for a passing reason."""
        known = self._known(link.url)
        if not known or known.get("changed", "") != link.changed:
            return True
        return known.get("reason") in AGAIN and known.get("tries", 0) < TRIES

    def _asked(self) -> int:
        asked = self._state.get("asked", {})
        return int(asked["pages"]) if asked.get("round") == self._round else 0

    def _page(self, link: Link) -> Step:
        """Ask for a page; whatever comes of it is remembered, so that the round does not ask again."""
        had = {key: self._known(link.url).get(key) for key in ("etag", "last-modified", "sha256", "tries")}
        known = {key: value for key, value in had.items() if value}
        rows: tuple[Row, ...] = ()
        reason = ""
        try:
            page = self._get(link.url, known)
            if page.status != HTTPStatus.NOT_MODIFIED:
                before, known = known, {"sha256": sha256(page.body), **page.validators}
                rows = self._rows(page, before)
        except Refused as refusal:
            reason = refusal.reason
            known["tries"] = known.get("tries", 0) + (reason in TRANSIENT)
        said = {**known, "round": self._round, "changed": link.changed, "reason": reason}
        asked = {"round": self._round, "pages": self._asked() + (reason not in NOT_ASKED)}
        kept = {key: value for key, value in said.items() if value}
        return Step(rows, {f"page {link.url}": kept, "asked": asked}, {reason: 1} if reason else {})

    def _rows(self, page: Page, known: Mapping[str, Any]) -> tuple[Row, ...]:
        """The page's row, unless its bytes are those of the last time."""
        if known.get("sha256") == (found := sha256(page.body)):
            return ()
        text, licence = read(page.body, page.headers.get("content-type", ""))
        return (plain(self._spec, text, Found(page.url, found, now(), licence)),)

    def _get(self, url: str, known: Mapping[str, Any]) -> Page:
        """An answer, unless its host has failed too often; how it ended is counted for the host."""
        if self._fetcher.pace.closed(host(url)):
            raise Refused("host_failing")
        try:
            page = self._fetcher.get(url, self._robots.check, known)
        except Refused as refusal:
            if refusal.reason not in NOT_ASKED:
                self._fetcher.pace.answered(host(url), well=refusal.reason not in TRANSIENT)
            raise
        self._fetcher.pace.answered(host(url), well=True)
        return page


def _in_turn(links: Iterable[Link]) -> Iterator[Link]:
    """One of each host in turn, so that the wait for one host is spent on the others."""
    queues: dict[str, list[Link]] = {}
    for link in links:
        queues.setdefault(host(link.url), []).append(link)
    for i in range(max(map(len, queues.values()), default=0)):
        yield from (queue[i] for queue in queues.values() if i < len(queue))
