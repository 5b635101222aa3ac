"""The log: pages of events, read by key so that the cost does not grow with the log; one event; the hash chain."""

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

from eventstore.read import Part, is_cut, to_envelope
from eventstore.row import Row
from schemas.envelope import UNPARSED, Envelope
from schemas.registry import EVENTS
from services.console.log_file import known_type
from services.console.web.context import site

SIZE = 100
"""Events per page."""
END = 2**63 - 1
"""Beyond every position."""


@dataclass(frozen=True)
class Filter:
    """A selection of events; an empty field selects all."""

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
        """The address of a page of the selection."""
        fields = {"type": self.type, "stream": self.stream, "campaign": self.campaign, **more}
        return "/log?" + urlencode({name: value for name, value in fields.items() if value})


async def stream(request: Request) -> dict[str, Any]:
    """A page of the log, newest first; the first page follows the log."""
    query = request.query_params
    chosen = Filter(*(query.get(name, "").strip() for name in ("type", "stream", "campaign")))
    if chosen.type:
        known_type(chosen.type)
    store, before, after = site(request).store, _position(query.get("before")), _position(query.get("after"))
    if after:
        rows = [row async for row in store.scan(after, chosen.part, SIZE)][::-1]
    else:
        rows = await store.before(before or END, chosen.part, SIZE)
    return {
        "chosen": chosen,
        "types": sorted(EVENTS),
        "envelopes": [to_envelope(row) for row in rows],
        "follows": not (before or after),
        "older": chosen.address(before=rows[-1].position) if len(rows) == SIZE or is_cut(rows) else "",
        "newer": chosen.address(after=rows[0].position) if rows and (before or after) else "",
        "recorded": await store.recorded_head(),
        "chain": site(request).chain,
    }


async def event(request: Request) -> dict[str, Any]:
    """One event: its attributes and its payload."""
    row = await _row(request)
    cause = await site(request).store.get(row.causation) if row.causation else None
    envelope = to_envelope(row)
    data = row.data if envelope.data == UNPARSED else json.dumps(envelope.data, indent=2, ensure_ascii=False)
    return {"row": row, "envelope": envelope, "cause": cause, "data": data}


async def as_json(request: Request) -> Response:
    """One event as services exchange it."""
    return Response(to_envelope(await _row(request)).model_dump_json(), media_type="application/json")


async def by_id(request: Request) -> Response:
    """The page of the event with an id."""
    id_: UUID = request.path_params["id"]
    envelope: Envelope | None = await site(request).store.get(id_)
    if envelope is None:
        raise HTTPException(404, f"no event has the id {id_}")
    return RedirectResponse(f"/log/{envelope.sequence}", 303)


async def verify(request: Request, form: FormData) -> Response:
    """Verify the hash chain in the background."""
    site(request).chain.begin()
    return RedirectResponse("/log#chain", 303)


async def _row(request: Request) -> Row:
    position = min(request.path_params["position"], END)
    async for row in site(request).store.scan(position - 1, limit=1):
        if row.position == position:
            return row
    raise HTTPException(404, f"the log has no position {position}")


def _position(text: Any) -> int:
    """A position from an address; 0 if there is none."""
    return min(int(text), END) if text and text.isdecimal() else 0
