"""How every session of the store begins: as the service's own role, and with limits, so that none can block the log.

A session that hangs inside a transaction could hold the counter row's lock and stop all appends; the server ends it.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

TLS_FILES = ("sslrootcert", "sslcert", "sslkey")
"""Parameters of a DSN that name a file."""

SETTINGS = {
    "search_path": "aevolve",
    "timezone": "UTC",
    # An append must see what was committed while it waited for the counter row.
    "default_transaction_isolation": "read committed",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    # A relay on a dead host must lose its lock within a minute, not after the two hours of the system's default.
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    # Nothing is kept alive while an answer to the vanished host is still being sent again: for 15 minutes by default.
    "tcp_user_timeout": "50000",
}
"""Set in each session."""

STATEMENT_SECONDS = 60.0
"""After this an unanswered statement raises `TimeoutError`."""


def role(service: str) -> str:
    """The database role of a service."""
    return f"aevolve_{service}"


def credentials(service: str, password: str | None) -> dict[str, str]:
    """Who to log in as; without a password, the DSN's own or that of the usual password file is used."""
    return {"user": role(service)} if password is None else {"user": role(service), "password": password}


def settings(service: str) -> dict[str, str]:
    """The session settings of a service."""
    return {**SETTINGS, "application_name": f"aevolve/{service}"}


async def connect(dsn: str, service: str, password: str | None) -> asyncpg.Connection:
    """One session outside the pool, for what lasts: listening and leading.

    Its statements end too, where the server's host has vanished: a leader that waited for it would never give up.
    """
    return await asyncpg.connect(
        dsn,
        command_timeout=STATEMENT_SECONDS,
        server_settings=settings(service),
        **credentials(service, password),
    )


async def _as_it_is(connection: asyncpg.Connection) -> None:
    """Leave a session as it comes back to the pool."""


async def open_pool(dsn: str, service: str, password: str | None, min_size: int, max_size: int) -> asyncpg.Pool:
    """A pool of sessions. It replaces those that the server has closed."""
    return await asyncpg.create_pool(
        dsn,
        min_size=min_size,
        max_size=max_size,
        command_timeout=STATEMENT_SECONDS,
        # Nothing here changes its session, so nothing is to be undone: it would be one more round trip each time.
        reset=_as_it_is,
        server_settings=settings(service),
        **credentials(service, password),
    )


def tls_fault(dsn: str, error: BaseException) -> str | None:
    """What to mend where a session failed for TLS: a file that the DSN names, or the server's certificate."""
    named = parse_qs(urlsplit(dsn).query)
    for parameter in TLS_FILES:
        for file in named.get(parameter, ()):
            if not Path(file).is_file():
                return f"{parameter}={file} is no file: name a PEM file"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the server does not prove who it is ({error.verify_message}): name its CA by sslrootcert=FILE, "
            "and its host as its certificate does"
        )
    if isinstance(error, ssl.SSLError):
        return f"no TLS with the server ({error}): check the files that the address names"
    return None
