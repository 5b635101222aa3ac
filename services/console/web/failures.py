"""What a person is told where a page cannot be shown: the commands' own words, and a status that says who mends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from eventstore.errors import DISCONNECTED
from services.console.client import UnknownCampaign
from services.console.web.csrf import Forged
from services.console.web.templating import page
from services.runtime.user_error import UserError


async def _unknown(request: Request, error: Exception) -> Response:
    return _told(request, 404, "Not found", str(error))


async def _wrong(request: Request, error: Exception) -> Response:
    return _told(request, 400, "Not done", str(error))


async def _forged(request: Request, error: Exception) -> Response:
    return _told(request, 403, "Not done", str(error))


async def _away(request: Request, error: Exception) -> Response:
    response = _told(request, 503, "The log is away", f"{error or type(error).__name__}: asked again every 5 seconds")
    response.headers["Refresh"] = "5"
    return response


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _told(request, error.status_code, error.detail, "")


def _told(request: Request, status: int, title: str, words: str) -> Response:
    return page(request, "failure.html", status=status, title=title, words=words)


HANDLERS: Mapping[Any, Any] = {
    UnknownCampaign: _unknown,
    UserError: _wrong,
    Forged: _forged,
    HTTPException: _http,
    **dict.fromkeys(DISCONNECTED, _away),
}
"""Failure -> how it is told."""
