"""How often a host is asked: never sooner than its interval after the last request, no more once it keeps failing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

LONGEST = 60.0
"""Seconds between two requests that a round waits; a host that asks for more is left alone."""

STRIKES = 3
"""Failures in a row after which a host is left alone for the round."""


class Pace:
    """When each host may be asked again, by a clock that nobody sets."""

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
        """The host wants so long between two requests."""
        self._slower[host] = max(seconds, self._slower.get(host, 0.0))

    def hold(self, host: str, seconds: float) -> None:
        """The host wants no request for so long."""
        if seconds > LONGEST:
            self._strikes[host] = STRIKES
        self._next[host] = max(self._next.get(host, 0.0), self._clock() + seconds)

    def answered(self, host: str, *, well: bool) -> None:
        """A request to the host has ended, well or in a failure of the host's."""
        self._strikes[host] = 0 if well else self._strikes[host] + 1

    def closed(self, host: str) -> bool:
        """Whether the host is left alone for the rest of the round."""
        return self._strikes[host] >= STRIKES

    def interval(self, host: str) -> float:
        """Seconds between two requests to the host."""
        return max(self._interval, self._slower.get(host, 0.0))

    def wait(self, host: str) -> None:
        """Return when the host may be asked, and count this as a request."""
        if (left := self._next.get(host, 0.0) - self._clock()) > 0:
            self._sleep(left)
        self._next[host] = self._clock() + self.interval(host)
