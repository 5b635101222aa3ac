"""The log: a page of it at a time, by key, so that its length costs nothing; one event as recorded; the chain."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from eventstore.read import Part, to_envelope
from eventstore.row import Row
from schemas.envelope import Envelope
from schemas.registry import EVENTS
from services.console.log_file import known_type
from services.console.web.context import Site, site
from services.console.web.templating import page

SIZE = 100
"""Events on a page."""
END = 2**63 - 1
"""Beyond every position."""


@dataclass(frozen=True)
class Filter:
    """Which events are asked for; empty for all."""

    type: str = ""
    """Event type."""
    stream: str = ""
    """Stream."""
    campaign: str = ""
    """Campaign id."""

    @property
    def part(self) -> Part:
        """The part of the log."""
        return Part(self.campaign or None, self.stream or None, [self.type] if self.type else None)

    def address(self, **more: object) -> str:
        """The address of a page of it."""
        given = {"type": self.type, "stream": self.stream, "campaign": self.campaign, **more}
        return "/log?" + urlencode({name: value for name, value in given.items() if value})


async def stream(request: Request) -> Response:
    """A page of the log, the youngest first; the first page follows the log."""
    asked = request.query_params
    chosen = Filter(*(asked.get(name, "").strip() for name in ("type", "stream", "campaign")))
    if chosen.type:
        known_type(chosen.type)
    found, before, after = site(request), _position(asked.get("before")), _position(asked.get("after"))
    rows = await (_after(found, chosen, after) if after else found.store.before(before or END, chosen.part, SIZE))
    return page(
        request,
        "log.html",
        chosen=chosen,
        types=sorted(EVENTS),
        envelopes=[to_envelope(row) for row in rows],
        follows=not (before or after),
        older=chosen.address(before=rows[-1].position) if len(rows) == SIZE else "",
        newer=chosen.address(after=rows[0].position) if rows and (before or after) else "",
        recorded=await found.store.recorded_head(),
        chain=found.chain,
    )


async def _after(found: Site, chosen: Filter, position: int) -> list[Row]:
    rows = [row async for row in found.store.scan(position, chosen.part, SIZE)]
    return rows[::-1]


async def event(request: Request) -> Response:
    """One event: its attributes and its payload."""
    row = await _row(request)
    cause = await site(request).store.get(row.causation) if row.causation else None
    data = json.dumps(json.loads(row.data), indent=2, ensure_ascii=False)
    return page(request, "event.html", row=row, envelope=to_envelope(row), cause=cause, data=data)


async def as_json(request: Request) -> Response:
    """One event as services exchange it."""
    return Response(to_envelope(await _row(request)).model_dump_json(), media_type="application/json")


async def by_id(request: Request) -> Response:
    """The event of an id, wherever it stands."""
    id_: UUID = request.path_params["id"]
    found: Envelope | None = await site(request).store.get(id_)
    if found is None:
        raise HTTPException(404, f"no event has the id {id_}")
    return RedirectResponse(f"/log/{found.sequence}", 303)


async def verify(request: Request, form: FormData) -> Response:
    """Begin to compute the chain again."""
    site(request).chain.begin()
    return RedirectResponse("/log#chain", 303)


async def _row(request: Request) -> Row:
    position = request.path_params["position"]
    async for row in site(request).store.scan(position - 1, limit=1):
        if row.position == position:
            return row
    raise HTTPException(404, f"the log has no position {position}")


def _position(text: Any) -> int:
    """A position of an address; 0 for none."""
    return min(int(text), END) if text and text.isdecimal() else 0
