"""What a site's robots.txt allows us (RFC 9309), asked once a round for each site.

Protego reads it: it knows wildcards, the longest matching rule and Crawl-delay as crawlers do, of which the standard
library's parser (Python 3.11) knows but the last.
"""

from __future__ import annotations

import httpx2
from protego import Protego

from services.data.sources.refusal import Refused
from services.data.sources.web.fetch import AGENT, Fetcher, host
from services.data.sources.web.pace import LONGEST

READ = 512_000
"""Bytes of a robots.txt that are read; RFC 9309 wants 500 KiB at least."""


class Robots:
    """The rules of the sites of a round."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._rules: dict[str, Protego | None] = {}

    def check(self, url: str) -> None:
        """Raise `Refused` unless the site lets us ask for the address, and often enough to wait for it."""
        site = str(httpx2.URL(url).join("/robots.txt"))
        if site not in self._rules:
            self._rules[site] = self._ask(site)
        if (rules := self._rules[site]) is None:
            raise Refused("robots_unreachable")
        if not rules.can_fetch(url, AGENT):
            raise Refused("robots")
        self._fetcher.pace.slow(host(url), _delay(rules))
        if self._fetcher.pace.interval(host(url)) > LONGEST:
            raise Refused("crawl_delay")

    def _ask(self, site: str) -> Protego | None:
        """The site's rules: none of them where it has no such file, no access where it cannot be asked for it."""
        try:
            page = self._fetcher.get(site, lambda _: None)
        except Refused as refusal:
            if refusal.reason == "private":
                raise
            return Protego.parse("") if refusal.reason == "status" else None
        return Protego.parse(page.body[:READ].decode(errors="replace"))


def _delay(rules: Protego) -> float:
    rate = rules.request_rate(AGENT)
    return max(rules.crawl_delay(AGENT) or 0.0, rate.seconds / rate.requests if rate and rate.requests else 0.0)
