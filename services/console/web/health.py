"""Whether the system keeps up: lag of the services, queues and leases of jobs, and dead letters."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from schemas.registry import SERVICES
from services.console.dead_letters import find, letters, send_again
from services.console.web.context import site

LEASES = 200
"""Leases listed."""
CONSUMERS = [name for name in SERVICES if name != "console"]


async def overview(request: Request) -> dict[str, Any]:
    """Services, queues, leases and relays, from the database."""
    store = site(request).store
    counts = await store.work_counts()
    return {
        "services": await store.ask("consumers", CONSUMERS),
        "position": await store.head(),
        "queues": sorted({queue for queue, _ in counts}),
        "counts": counts,
        "ages": {row["queue"]: row["oldest"] for row in await store.ask("queue_ages")},
        "leases": await store.ask("leases", LEASES),
        "relays": await store.ask("relays"),
    }


async def dead_letters(request: Request) -> dict[str, Any]:
    """Events that no service could handle. Raises `UserError` if the broker does not answer."""
    return {"letters": await letters(site(request).settings)}


async def retry(request: Request, form: FormData) -> Response:
    """Send the event of a letter to the services again, as the log holds it."""
    context = site(request)
    letter = await find(str(form.get("position", "")), context.settings)
    event = await send_again(letter, context.store, context.settings)
    return RedirectResponse(f"/log/{event.sequence}", 303)
