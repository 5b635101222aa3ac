"""How much of the server each role may take: set for the roles themselves, whatever a client asks for.

A role cannot raise its number of sessions or its temporary files. The timeouts are defaults for sessions that set none:
any role can change its own, so `end_blockers` ends what holds locks for too long.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import asyncpg

from eventstore.connect import SETTINGS, role
from eventstore.sql import QUERIES
from schemas.registry import READERS, SERVICES

logger = logging.getLogger(__name__)

SERVICE_SHARE = 0.3
"""Share of `max_connections` that a service's role may have open: two taken-over services leave the others enough."""

READER_SHARE = 0.1
"""The same for the exporter and the scaler."""

FEWEST_SESSIONS = 10
"""Sessions that a role has in any case: one process of a service opens up to eight."""

ROLE_SETTINGS = {
    # Longer than a client of ours waits for an answer (`connect.STATEMENT_SECONDS`).
    "statement_timeout": "90s",
    "lock_timeout": SETTINGS["lock_timeout"],
    "idle_in_transaction_session_timeout": SETTINGS["idle_in_transaction_session_timeout"],
    "temp_file_limit": "1GB",
}
"""Per role. Only a superuser can change `temp_file_limit`."""


async def limit_roles(connection: asyncpg.Connection) -> None:
    """Set the limits of all roles, as their owner; what the owner may not set is logged with its statement.

    Settings that a role has given itself, which would stay when its password is changed, are taken away.
    """
    for row in await connection.fetch(QUERIES["limit_database"]):
        await _set(connection, row["statement"])
    for service in (*SERVICES, *READERS):
        share = SERVICE_SHARE if service in SERVICES else READER_SHARE
        current = await connection.fetchrow(QUERIES["role_limits"], role(service), share, FEWEST_SESSIONS)
        if current is None:  # the role comes with a later migration
            continue
        if current["here"]:
            await _set(connection, await connection.fetchval(QUERIES["quote_reset"], role(service)))
        for statement in _due(role(service), current):
            await _set(connection, statement)


async def _set(connection: asyncpg.Connection, statement: str) -> None:
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError as error:
        logger.warning("a limit is not set (%s); let a superuser do: %s", error, statement)


def _due(name: str, current: asyncpg.Record) -> Iterator[str]:
    """The statements that change what differs: two databases of one server may be migrated at the same time."""
    if current["sessions"] != current["most"]:
        yield f"ALTER ROLE {name} CONNECTION LIMIT {current['most']}"
    ours = {f"{setting}={value}" for setting, value in ROLE_SETTINGS.items()}
    foreign = not ours.issuperset(current["settings"])
    if foreign:
        yield f"ALTER ROLE {name} RESET ALL"
    for setting, value in ROLE_SETTINGS.items():
        if foreign or f"{setting}={value}" not in current["settings"]:
            yield f"ALTER ROLE {name} SET {setting} = '{value}'"
