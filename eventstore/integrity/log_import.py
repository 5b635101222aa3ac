"""Bringing an exported log into an empty database: positions, ids, times and hashes stay, so the chain goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import asyncpg

from eventstore.connect import SETTINGS
from eventstore.integrity.chain import Chain, Head
from eventstore.row import Row
from eventstore.sql import QUERIES


class LogNotEmpty(Exception):
    """Only an empty log can take another one."""

    def __init__(self, position: int) -> None:
        super().__init__(f"the log holds events already, up to position {position}: import into a new database")


async def import_log(dsn: str, rows: Iterable[Row], anchors: Mapping[int, bytes] | None = None) -> Head:
    """Copy the rows in as the owner, all or none; the new head.

    Raises `LogNotEmpty`, or `ChainBroken` for the first row that is wrong by itself or by an anchor (hash by position).
    """
    connection = await asyncpg.connect(dsn, server_settings={"search_path": SETTINGS["search_path"]})
    try:
        async with connection.transaction():
            position = await connection.fetchval(QUERIES["lock_head"])
            if not await connection.fetchval(QUERIES["is_empty"]):
                raise LogNotEmpty(position)
            return await _copy(connection, rows, Chain(anchors))
    finally:
        await connection.close()


async def _copy(connection: asyncpg.Connection, rows: Iterable[Row], chain: Chain) -> Head:
    await connection.copy_records_to_table(
        "events",
        schema_name=SETTINGS["search_path"],
        columns=Row._fields,
        records=chain.checked(rows),
    )
    head = chain.end()
    await connection.execute(QUERIES["set_head"], *head)
    return head
