"""Whether everything keeps up: services by what they have handled, jobs by their leases, and dead letters."""

from __future__ import annotations

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from schemas.registry import SERVICES
from services.console.dead_letters import find, letters, send_again
from services.console.web.context import site
from services.console.web.templating import page

MOST_LEASES = 200
"""Leases that are listed."""
PARTS = [name for name in SERVICES if name != "console"]


async def overview(request: Request) -> Response:
    """Services, queues, leases and relays, as the database knows them."""
    store = site(request).store
    counts = await store.work_counts()
    return page(
        request,
        "health.html",
        services=await store.ask("consumers", PARTS),
        position=await store.head(),
        queues=sorted({queue for queue, _ in counts}),
        counts=counts,
        ages={row["queue"]: row["oldest"] for row in await store.ask("queue_ages")},
        leases=await store.ask("leases", MOST_LEASES),
        relays=await store.ask("relays"),
    )


async def dead_letters(request: Request) -> Response:
    """What no service could handle. Raises `UserError` where the broker does not answer."""
    return page(request, "letters.html", letters=await letters(site(request).settings))


async def retry(request: Request, form: FormData) -> Response:
    """Give the event of a letter to the services again, as the log holds it."""
    found = site(request)
    letter = await find(str(form.get("position", "")), found.settings)
    event = await send_again(letter, found.store, found.settings)
    return RedirectResponse(f"/log/{event.sequence}", 303)
