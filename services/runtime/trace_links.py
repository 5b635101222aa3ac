"""The trace contexts of what was said in a campaign since its round was opened: what the round's decisions rest on."""

from __future__ import annotations

from schemas.envelope import Envelope


class Trail:
    """Follows one campaign's events in log order; the last of each stream is kept."""

    def __init__(self) -> None:
        self.opened: str | None = None
        """Context of the open round; what time alone makes due goes on from it."""
        self._last: dict[str, str] = {}

    def note(self, envelope: Envelope) -> None:
        """Take one more event into account."""
        if envelope.type == "PolicyUpdated":
            self.opened = envelope.traceparent
            self._last.clear()
        if envelope.traceparent:
            self._last[envelope.subject] = envelope.traceparent

    @property
    def contexts(self) -> tuple[str, ...]:
        """The contexts, each once."""
        return tuple(dict.fromkeys(self._last.values()))
