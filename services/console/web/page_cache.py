"""Contents of pages, drawn once: whoever looks next is given the same, until the log says something new of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

from markupsafe import Markup

KEPT = 64
"""Contents that are kept; the one that was asked for longest ago goes first."""


class Drawn:
    """Contents by what they are of, each as of the state that it shows."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[Hashable, Markup]] = OrderedDict()

    async def of(self, thing: Hashable, state: Hashable, draw: Callable[[], Awaitable[Markup]]) -> Markup:
        """What is kept where it shows this state, else what is drawn now."""
        known = self._kept.get(thing)
        content = known[1] if known and known[0] == state else await draw()
        self._kept[thing] = state, content
        self._kept.move_to_end(thing)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return content
