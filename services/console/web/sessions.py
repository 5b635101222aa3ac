"""What the page remembers of browsers and clients: who has logged in, and who has sent wrong tokens.

Both live in this process. After a restart everybody logs in again, so no cookie outlives its logout.
"""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections import OrderedDict, deque

SESSION_SECONDS = 12 * 3600
"""After this a browser logs in again."""
MOST_SESSIONS = 1_000
"""The oldest ends first."""
MOST_TRIES = 10
"""Wrong tokens per client and minute."""
TRY_SECONDS = 60.0
MOST_CLIENTS = 10_000
"""Clients remembered; the one whose last wrong token is the oldest is forgotten first."""


class Sessions:
    """The cookies of the browsers that are logged in."""

    def __init__(self) -> None:
        self._ends: OrderedDict[str, float] = OrderedDict()

    def begin(self) -> str:
        """The cookie of a new session: its end, and a number that cannot be guessed."""
        ends = int(time.time()) + SESSION_SECONDS
        cookie = f"{ends}.{secrets.token_urlsafe(32)}"
        self._ends[cookie] = ends
        if len(self._ends) > MOST_SESSIONS:
            self._ends.popitem(last=False)
        return cookie

    def has(self, cookie: str) -> bool:
        """Whether this is the cookie of a session that has not ended."""
        return self._ends.get(cookie, 0.0) > time.time()

    def end(self, cookie: str) -> None:
        """End a session, if there is one."""
        self._ends.pop(cookie, None)


class Tries:
    """Wrong tokens of the last minute, by client."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def exhausted(self, client: str) -> bool:
        """Whether a client has sent so many wrong tokens that no further one is read."""
        times = self._times.get(_network(client))
        return times is not None and len(times) == MOST_TRIES and time.monotonic() - times[0] < TRY_SECONDS

    def add(self, client: str) -> None:
        """Count a wrong token."""
        network = _network(client)
        self._times.setdefault(network, deque(maxlen=MOST_TRIES)).append(time.monotonic())
        self._times.move_to_end(network)
        if len(self._times) > MOST_CLIENTS:
            self._times.popitem(last=False)


def _network(client: str) -> str:
    """The client's address; of an IPv6 address the network of 64 bits, which one client has for itself."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    return client if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
