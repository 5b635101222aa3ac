"""What the hash chain costs: the store beside itself, with the hash left out of another database's append function."""

from __future__ import annotations

import re
from functools import partial

import asyncpg

from benchmarks.store.appends import BATCH, CALLERS, appended
from benchmarks.store.figures import Figure, interleaved
from benchmarks.store.scratch import Scratch, open_store
from benchmarks.store.statements import STATEMENTS

HASH = re.compile(r"chain\(previous,.*?\)\s+OVER \(ORDER BY r\.position\)", re.DOTALL)
"""The hash of an event in the text of the append function, canonical bytes and all."""

NO_HASH = "previous"
"""What stands there instead: the column takes any 32 bytes."""


class AppendHasChanged(Exception):
    """The append function is not as this file knows it, so the figure would be of something else."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} functions of the database match HASH in benchmarks/store/chain_cost.py, not 1:"
            " write down there how the function computes the hash now"
        )


async def measure(scratch: Scratch) -> list[Figure]:
    """Both figures."""
    bare = await scratch.log()
    await leave_out_hash(bare)
    async with await open_store(await scratch.log()) as chained, await open_store(bare) as unchained:
        held_back = (
            "canonical text and SHA-256 of each event in the server; the wheel's PostgreSQL has no OpenSSL "
            "(benchmarks.store.cpu). Next: to be measured on a server that has it"
        )

        async def beside(measure: str, callers: int, batch: int) -> Figure:
            amount = (callers, batch, scratch.seconds)
            runs = (partial(appended, store, *amount) for store in (chained, unchained))
            ours, bare = await interleaved(scratch.repetitions, *runs)
            against = "the same without the hash"
            return Figure(f"the chain, {measure}", "events/s", ours, bare, against, at_least=0.9, held_back=held_back)

        return [
            await beside(f"one event per call, {CALLERS} callers", CALLERS, 1),
            await beside(f"batches of {BATCH}, one writer", 1, BATCH),
        ]


async def leave_out_hash(dsn: str) -> None:
    """Replace a database's append function by one that stores no hash. Raises `AppendHasChanged`."""
    connection = await asyncpg.connect(dsn)
    try:
        definitions = [text for (text,) in await connection.fetch(STATEMENTS["hashing_functions"])]
        without = [changed for changed, times in (HASH.subn(NO_HASH, text) for text in definitions) if times == 1]
        if len(without) != 1:
            raise AppendHasChanged(len(without))
        await connection.execute(without[0])
    finally:
        await connection.close()
