"""Bad input is refused with a short name, by which it is counted; nothing else is lost with it."""

from __future__ import annotations


class Refused(Exception):
    """A page, line or record that is not taken; `reason` is what `Step.skipped` counts it by."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
