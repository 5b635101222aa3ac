"""`/health`, `/metrics` and the AsyncAPI page of a service.

Health is about consumption, not connection: a service is healthy when it has looked at the log lately and no event that
it should have handled has been waiting for long.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from faststream.asgi import AsgiResponse, get

STALE_LOOKS = 6
"""Missed looks at the log after which a service counts as ill."""


@dataclass
class Pulse:
    """When the service last looked at the log with nothing left behind."""

    interval: float
    """Seconds between looks."""
    last: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """Say that the service has caught up."""
        self.last = time.monotonic()

    @property
    def silence(self) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - self.last


def health(service: str, pulse: Pulse) -> Any:
    """The `/health` route: 200 while the pulse beats, else 503."""

    @get
    async def route(scope: Any) -> AsgiResponse:
        """Whether the service keeps up with the log."""
        healthy = pulse.silence < STALE_LOOKS * pulse.interval
        body = {"service": service, "healthy": healthy, "seconds_since_caught_up": round(pulse.silence, 1)}
        headers = {"content-type": "application/json"}
        return AsgiResponse(json.dumps(body).encode(), status_code=200 if healthy else 503, headers=headers)

    return route
