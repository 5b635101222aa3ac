"""A proxy in front of PostgreSQL that counts how often a client waits for the server, whatever client it is.

Protocol: https://www.postgresql.org/docs/current/protocol-message-formats.html. After the startup message each message
of a client is a byte for its kind, its length without that byte, and its content.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Self

WAITS = (b"Q", b"S")
"""A simple query, or the sync that ends a sequence of messages: the server answers each with `ReadyForQuery`."""

LENGTH = 4
CHUNK = 65_536


class RoundTrips:
    """Passes everything on to the server whose socket lies in a folder, and counts."""

    def __init__(self, folder: str) -> None:
        self._socket = Path(folder) / ".s.PGSQL.5432"
        self.count = 0
        """Round trips of all sessions after their startup and login."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    def dsn(self, database: str, user: str = "aevolve") -> str:
        """A database of the server, by way of this proxy."""
        port = self._server.sockets[0].getsockname()[1]
        return f"postgresql://{user}@127.0.0.1:{port}/{database}?sslmode=disable"

    async def _serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        server, forth = await asyncio.open_unix_connection(self._socket)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._counted(client, forth))
            tasks.create_task(_passed_on(server, back))

    async def _counted(self, client: asyncio.StreamReader, forth: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            forth.write(await _message(client))
            while True:
                kind = await client.readexactly(1)
                forth.write(kind + await _message(client))
                self.count += kind in WAITS
        forth.close()


async def _message(client: asyncio.StreamReader) -> bytes:
    """The length and the content of a message."""
    length = await client.readexactly(LENGTH)
    return length + await client.readexactly(int.from_bytes(length) - LENGTH)


async def _passed_on(server: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
    while chunk := await server.read(CHUNK):
        back.write(chunk)
    back.close()
